#include "data/tokenizer/added_tokens.h"

#include <algorithm>

#include "data/tokenizer/unicode.h"
#include "kernels/core/error.h"

namespace birkhoff {

void AddedTokenFinder::add(std::string_view spelling, const AddedToken& token) {
  if (!spelling.empty()) tokens_.push_back({std::string(spelling), token});
}

void AddedTokenFinder::prepare() {
  for (auto& list : by_first_byte_) list.clear();
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    by_first_byte_[static_cast<uint8_t>(tokens_[i].spelling[0])].push_back(i);
  }
  for (auto& list : by_first_byte_) {
    // Longest first, so that match_at() finds the longest token at a position.
    std::stable_sort(list.begin(), list.end(), [this](uint32_t a, uint32_t b) {
      return tokens_[a].spelling.size() > tokens_[b].spelling.size();
    });
  }
}

const AddedTokenFinder::Entry* AddedTokenFinder::match_at(std::string_view text) const {
  for (const uint32_t i : by_first_byte_[static_cast<uint8_t>(text[0])]) {
    if (text.starts_with(tokens_[i].spelling)) return &tokens_[i];
  }
  return nullptr;
}

bool AddedTokenFinder::stands_alone(const Entry& entry, std::string_view text, size_t at) const {
  size_t before = at, after = at + entry.spelling.size();
  return (before == 0 || !is_word(previous_code_point(text, before))) &&
         (after == text.size() || !is_word(next_code_point(text, after)));
}

void AddedTokenFinder::cut(std::string_view text, std::vector<AddedStretch>& out) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const Entry* entry = match_at(text.substr(at));
    if (!entry) {
      ++at;
      continue;
    }
    size_t begin = at, end = at += entry->spelling.size();
    if (entry->token.single_word && !stands_alone(*entry, text, begin)) continue;
    if (entry->token.left_strip) begin = std::max(done, strip(text.substr(0, begin), Ends::right).size());
    if (entry->token.right_strip) end = text.size() - strip(text.substr(end), Ends::left).size();
    BK_CHECK(begin <= end, "the added token ", entry->token.content,
             " stands within the spaces that another one took in, and both strip spaces: such a text has no tokens");
    if (done < begin) out.push_back({text.substr(done, begin - done), std::nullopt});
    // A match may lie entirely within the spaces that the token before it absorbed. Nothing of it is left then.
    if (begin < end) out.push_back({text.substr(begin, end - begin), entry->token.id});
    done = end;
  }
  if (done < text.size()) out.push_back({text.substr(done), std::nullopt});
}

std::vector<AddedToken> added_tokens_from_json(const Json& json) {
  std::vector<AddedToken> tokens;
  BK_CHECK(json.is_array(), "the added_tokens of the tokenizer file must be a list, not ", json.type_name());
  for (const Json& item : json) {
    allow_fields(item, "an added token", {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    AddedToken token;
    token.content = json_text(item, "content", "an added token");
    BK_CHECK(!token.content.empty(), "the tokenizer file has an added token without content");
    token.id = json_token_id(json_field(item, "id", "an added token"), concat("the added token ", token.content));
    token.special = json_flag(item, "special", false);
    token.single_word = json_flag(item, "single_word", false);
    token.left_strip = json_flag(item, "lstrip", false);
    token.right_strip = json_flag(item, "rstrip", false);
    token.normalized = json_flag(item, "normalized", !token.special);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace birkhoff
