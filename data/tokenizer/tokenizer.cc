#include "data/tokenizer/tokenizer.h"

#include <algorithm>
#include <unordered_set>

#include "data/file/regular_file.h"
#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/json_fields.h"
#include "data/tokenizer/post_processor.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/word_cache.h"
#include "kernels/core/error.h"

namespace birkhoff {

struct TokenizerModel {
  struct Entry {
    std::string token, bytes;  // its spelling in the file, and what it decodes to
    bool used = false, special = false;
  };

  explicit TokenizerModel(std::string_view text);

  void encode(std::string_view text, std::vector<int32_t>& ids) const;
  void encode_stretch(std::string_view text, EncodeWorkspace& workspace, std::vector<int32_t>& ids) const;
  const Entry& entry(int32_t id) const;

  std::string json;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  AddedTokenFinder raw_tokens, normalized_tokens;
  PostProcessor post_processor;
  bool joins_with_spaces = false;
  TokenIds ids_by_token;
  std::vector<Entry> entries;
  mutable WorkspacePool workspaces;

 private:
  void read(const Json& file);
  void read_decoder(const Json& json);
  void add_tokens(const std::vector<AddedToken>& tokens);
  void fill_entries(const std::vector<AddedToken>& tokens);
};

TokenizerModel::TokenizerModel(std::string_view text) : json(text) {
  try {
    read(parse_json(text, "tokenizer.json"));
  } catch (const DataError& error) {
    throw UserError(error.what());
  } catch (const Json::exception& error) {
    throw UserError(concat("the tokenizer file is not a tokenizer.json: ", error.what()));
  }
}

void TokenizerModel::read(const Json& file) {
  allow_fields(file, "the top level",
               {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                "decoder", "model"});
  const Json version = file.value("version", Json("1.0"));
  BK_CHECK(version == "1.0", "the tokenizer file has the version ", json_excerpt(version), "; expected \"1.0\"");
  for (const char* field : {"truncation", "padding"}) {
    BK_CHECK(file.value(field, Json()).is_null(), "the tokenizer file sets ", field,
             ", which is not supported; set it to null");
  }
  BK_CHECK(file.contains("model") && file["model"].is_object(),
           "the tokenizer file has no model; a tokenizer.json of Hugging Face is expected");
  normalizer = Normalizer::from_json(file.value("normalizer", Json()));
  pre_tokenizer = PreTokenizer::from_json(file.value("pre_tokenizer", Json()));
  post_processor = PostProcessor::from_json(file.value("post_processor", Json()));
  // The pre-tokenizer decides whether the vocabulary spells tokens in bytes or in characters.
  bpe = Bpe::from_json(file["model"], pre_tokenizer.byte_level() ? Bpe::Symbols::bytes : Bpe::Symbols::characters);
  const auto added = added_tokens_from_json(file.value("added_tokens", Json::array()));
  read_decoder(file.value("decoder", Json()));
  add_tokens(added);
  fill_entries(added);
  for (const auto* ids : {&post_processor.prefix, &post_processor.suffix})
    for (const int32_t id : *ids) entry(id);  // throws if no token has this id
}

void TokenizerModel::read_decoder(const Json& json) {
  joins_with_spaces = json.is_null();
  if (joins_with_spaces) return;
  const std::string type = json_type(json, "the decoder");
  BK_CHECK(type == "ByteLevel", "the tokenizer file has the decoder ", type, ", which is not supported");
  allow_fields(json, "decoder ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"});
}

// An added token that is not in the model's vocabulary must have the id that follows from its position in the list.
// Other programs compute the id from the position and ignore a different id in the file.
void TokenizerModel::add_tokens(const std::vector<AddedToken>& tokens) {
  ids_by_token = bpe.vocabulary();
  auto next = static_cast<int32_t>(ids_by_token.size());
  std::unordered_set<std::string> seen;
  for (const AddedToken& token : tokens) {
    const auto [found, is_new] = ids_by_token.emplace(token.content, next);
    BK_CHECK(found->second == token.id, "the tokenizer file gives the added token ", token.content, " the id ",
             token.id, ", but its place makes it ", found->second);
    BK_CHECK(seen.emplace(token.content).second, "the tokenizer file has the added token ", token.content,
             " twice; keep one");
    next += is_new;
    (token.normalized ? normalized_tokens : raw_tokens)
        .add(token.normalized ? normalizer(token.content) : token.content, token);
  }
  normalized_tokens.prepare();
  raw_tokens.prepare();
}

void TokenizerModel::fill_entries(const std::vector<AddedToken>& tokens) {
  int32_t size = 0;
  for (const auto& [token, id] : ids_by_token) size = std::max(size, id + 1);
  const int64_t most = int64_t{1} << 20;  // unused ids; without a limit, one huge id would cost gigabytes
  BK_CHECK(size - static_cast<int64_t>(ids_by_token.size()) <= most, "the ids of the tokenizer file go up to ",
           size - 1, ", but it has only ", ids_by_token.size(), " tokens; at most ", most, " ids may be left out");
  entries.resize(size);
  for (const auto& [token, id] : ids_by_token) {
    Entry& entry = entries[id];
    BK_CHECK(!entry.used, "the tokenizer file gives the id ", id, " to ", entry.token, " and to ", token);
    entry.used = true;
    entry.token = token;
    entry.bytes = joins_with_spaces ? token : from_byte_level(token).value_or(token);
  }
  for (const AddedToken& token : tokens) entries[token.id].special |= token.special;
}

const TokenizerModel::Entry& TokenizerModel::entry(int32_t id) const {
  BK_CHECK(id >= 0 && id < static_cast<int32_t>(entries.size()) && entries[id].used, "no token has the id ", id,
           "; the tokenizer's ids are below ", entries.size());
  return entries[id];
}

void TokenizerModel::encode(std::string_view text, std::vector<int32_t>& ids) const {
  WorkspacePool::Lease workspace(workspaces);
  std::vector<AddedStretch> outer, inner;
  // First finds the tokens with "normalized": false in the raw text, then the other tokens in the normalized text
  // between them.
  raw_tokens.cut(text, outer);
  for (const AddedStretch& stretch : outer) {
    if (stretch.id) {
      ids.push_back(*stretch.id);
      continue;
    }
    const std::string normalized = normalizer.empty() ? std::string() : normalizer(std::string(stretch.text));
    inner.clear();
    normalized_tokens.cut(normalizer.empty() ? stretch.text : std::string_view(normalized), inner);
    for (const AddedStretch& part : inner) {
      if (part.id) {
        ids.push_back(*part.id);
      } else {
        encode_stretch(part.text, *workspace, ids);
      }
    }
  }
}

void TokenizerModel::encode_stretch(std::string_view text, EncodeWorkspace& workspace,
                                    std::vector<int32_t>& ids) const {
  pre_tokenizer.split(text, workspace.words);
  for (const std::string_view word : workspace.words.views) {
    if (workspace.cache.append(word, ids)) continue;
    const size_t begin = ids.size();
    bpe.encode(word, ids);
    workspace.cache.keep(word, std::span(ids).subspan(begin));
  }
}

Tokenizer::Tokenizer(std::shared_ptr<const TokenizerModel> model) : model_(std::move(model)) {}

Tokenizer Tokenizer::parse(std::string_view json) { return Tokenizer(std::make_shared<const TokenizerModel>(json)); }

Tokenizer Tokenizer::load(const std::string& path) {
  std::string text;
  try {
    text = read_regular_file(path);
  } catch (const DataError& error) {
    throw UserError(concat("cannot read the tokenizer file ", error.what(), "; `birkhoff tokenizer train` makes one"));
  }
  try {
    return parse(text);
  } catch (const UserError& error) {
    throw UserError(concat(path, ": ", error.what()));
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  std::vector<int32_t> ids;
  // A guess: English text has about four bytes per token.
  ids.reserve(text.size() / 3 + 8);
  const PostProcessor& around = model_->post_processor;
  if (special == SpecialTokens::keep) ids = around.prefix;
  model_->encode(text, ids);
  if (special == SpecialTokens::keep) ids.insert(ids.end(), around.suffix.begin(), around.suffix.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, SpecialTokens special) const {
  std::string out;
  bool first = true;
  for (const int32_t id : ids) {
    const auto& entry = model_->entry(id);
    if (special == SpecialTokens::omit && entry.special) continue;
    if (model_->joins_with_spaces && !first) out += ' ';
    out += entry.bytes;
    first = false;
  }
  return out;
}

int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(model_->entries.size()); }

std::optional<int32_t> Tokenizer::id_of(std::string_view token) const {
  const auto found = model_->ids_by_token.find(token);
  return found == model_->ids_by_token.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::string> Tokenizer::token_of(int32_t id) const {
  const bool used = id >= 0 && id < vocab_size() && model_->entries[id].used;
  return used ? std::optional(model_->entries[id].token) : std::nullopt;
}

bool Tokenizer::is_special(int32_t id) const { return model_->entry(id).special; }

std::optional<int32_t> Tokenizer::first_special(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    const auto id = id_of(name);
    if (id && is_special(*id)) return id;
  }
  return std::nullopt;
}

std::optional<int32_t> Tokenizer::bos() const {
  return first_special({"<｜begin▁of▁sentence｜>", "<|begin_of_text|>", "<|startoftext|>", "<|bos|>", "<s>", "<bos>"});
}

std::optional<int32_t> Tokenizer::eos() const {
  return first_special({"<｜end▁of▁sentence｜>", "<|end_of_text|>", "<|endoftext|>", "<|eos|>", "</s>", "<eos>"});
}

std::optional<int32_t> Tokenizer::pad() const {
  return first_special({"<｜▁pad▁｜>", "<|finetune_right_pad_id|>", "<|pad|>", "<pad>", "[PAD]"});
}

const std::string& Tokenizer::to_json() const { return model_->json; }

}  // namespace birkhoff
