#include "data/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <map>

#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/unicode.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// A stretch of a text: a match, or what lies between two matches.
struct Stretch {
  Match span;
  bool matched;
};

std::vector<Stretch> stretches(std::string_view text, const std::vector<Match>& matches) {
  std::vector<Stretch> out;
  size_t end = 0;
  for (const Match& match : matches) {
    if (end != match.begin) out.push_back({{end, match.begin}, false});
    out.push_back({match, true});
    end = match.end;
  }
  if (end != text.size()) out.push_back({{end, text.size()}, false});
  return out;
}

// Merges a stretch into the one before it in the list if joins(stretch.matched, previous.matched) holds, where
// `previous` is the stretch before it in the input.
template <class Joins>
std::vector<Stretch> merge_if(const std::vector<Stretch>& in, Joins joins) {
  std::vector<Stretch> out;
  bool previous = false;
  for (const Stretch& stretch : in) {
    if (joins(stretch.matched, previous) && !out.empty()) {
      out.back().span = {std::min(out.back().span.begin, stretch.span.begin),
                         std::max(out.back().span.end, stretch.span.end)};
    } else {
      out.push_back(stretch);
    }
    previous = stretch.matched;
  }
  return out;
}

std::vector<Stretch> arrange(std::vector<Stretch> in, SplitBehavior behavior) {
  const auto same_kind = [](bool matched, bool previous) { return matched == previous; };
  const auto match_after_text = [](bool matched, bool previous) { return matched && !previous; };
  switch (behavior) {
    case SplitBehavior::isolated:
      break;
    case SplitBehavior::removed:
      std::erase_if(in, [](const Stretch& s) { return s.matched; });
      break;
    case SplitBehavior::contiguous:
      return merge_if(in, same_kind);
    case SplitBehavior::merged_with_previous:
      return merge_if(in, match_after_text);
    case SplitBehavior::merged_with_next: {
      std::reverse(in.begin(), in.end());
      in = merge_if(in, match_after_text);
      std::reverse(in.begin(), in.end());
    }
  }
  return in;
}

std::vector<Match> numeric_characters(std::string_view text) {
  std::vector<Match> out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (is_numeric(next_code_point(text, at))) out.push_back({begin, at});
  }
  return out;
}

void push(std::vector<std::string_view>& words, std::string_view word) {
  if (!word.empty()) words.push_back(word);
}

// The common case, without intermediate lists: each match is a word, and so is each stretch between matches.
void split_isolated(std::string_view text, const Regex& pattern, std::vector<std::string_view>& words) {
  size_t end = 0;
  pattern.for_each_match(text, [&](Match match) {
    push(words, text.substr(end, match.begin - end));
    push(words, text.substr(match.begin, match.end - match.begin));
    end = match.end;
  });
  push(words, text.substr(end));
}

SplitBehavior behavior_from_json(const std::string& name) {
  static const std::map<std::string, SplitBehavior> kNames = {
      {"Isolated", SplitBehavior::isolated},
      {"Removed", SplitBehavior::removed},
      {"Contiguous", SplitBehavior::contiguous},
      {"MergedWithPrevious", SplitBehavior::merged_with_previous},
      {"MergedWithNext", SplitBehavior::merged_with_next}};
  const auto found = kNames.find(name);
  BK_CHECK(found != kNames.end(), "the tokenizer file has a Split of behavior ", name, ", which is not known");
  return found->second;
}

}  // namespace

const char* const kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

PreTokenizer PreTokenizer::from_json(const Json& json) {
  PreTokenizer out;
  if (!json.is_null()) out.append(json);
  return out;
}

void PreTokenizer::append(const Json& json) {
  const std::string type = json_type(json, "the pre_tokenizer");
  BK_CHECK(!byte_level_, "the tokenizer file has the pre_tokenizer ", type,
           " behind ByteLevel, which is supported only as the last one");
  if (type == "Sequence") {
    allow_fields(json, "pre_tokenizer Sequence", {"type", "pretokenizers"});
    for (const Json& step : json_list(json, "pretokenizers", "pre_tokenizer Sequence")) append(step);
  } else if (type == "Split") {
    append_split(json);
  } else if (type == "Digits") {
    allow_fields(json, "pre_tokenizer Digits", {"type", "individual_digits"});
    const bool individual = json_flag(json, "individual_digits", false);
    steps_.push_back({Kind::digits, {}, individual ? SplitBehavior::isolated : SplitBehavior::contiguous});
  } else if (type == "ByteLevel") {
    append_byte_level(json);
  } else {
    throw UserError(concat("the tokenizer file has the pre_tokenizer ", type, ", which is not supported"));
  }
}

void PreTokenizer::append_split(const Json& json) {
  allow_fields(json, "pre_tokenizer Split", {"type", "pattern", "behavior", "invert"});
  steps_.push_back({Kind::split,
                    {regex_from_json(json_field(json, "pattern", "pre_tokenizer Split"))},
                    behavior_from_json(json_text(json, "behavior", "pre_tokenizer Split")),
                    json_flag(json, "invert", false)});
}

void PreTokenizer::append_byte_level(const Json& json) {
  allow_fields(json, "pre_tokenizer ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (json_flag(json, "add_prefix_space", true)) steps_.push_back({Kind::space, {}});
  if (json_flag(json, "use_regex", true)) steps_.push_back({Kind::split, {Regex(kGpt2Pattern)}});
  byte_level_ = true;
}

void PreTokenizer::apply(const Step& step, std::string_view word, std::vector<std::string_view>& out) {
  if (step.kind == Kind::split && step.behavior == SplitBehavior::isolated) {
    split_isolated(word, step.pattern[0], out);
    return;
  }
  std::vector<Match> matches;
  if (step.kind == Kind::split) {
    step.pattern[0].for_each_match(word, [&](Match match) { matches.push_back(match); });
  } else {
    matches = numeric_characters(word);
  }
  std::vector<Stretch> parts = stretches(word, matches);
  for (Stretch& part : parts) part.matched ^= step.invert;
  for (const Stretch& part : arrange(std::move(parts), step.behavior)) {
    push(out, word.substr(part.span.begin, part.span.end - part.span.begin));
  }
}

void PreTokenizer::split(std::string_view text, Words& words) const {
  words.views.clear();
  words.owned.clear();
  for_each_utf8_run(text, [&](Utf8Run run) { words.views.push_back(run.bytes); });
  for (const Step& step : steps_) {
    words.spare.clear();
    bool after_invalid = false;
    for (const std::string_view word : words.views) {
      // Bytes that are not UTF-8 pass through every step, and the text after them gets no prefix space (see
      // tokenizer.h).
      const bool invalid = !starts_with_character(word);
      if (invalid || (step.kind == Kind::space && (after_invalid || word.starts_with(' ')))) {
        words.spare.push_back(word);
      } else if (step.kind == Kind::space) {
        words.spare.push_back(words.owned.emplace_back(concat(' ', word)));
      } else {
        apply(step, word, words.spare);
      }
      after_invalid = invalid;
    }
    words.views.swap(words.spare);
  }
}

}  // namespace birkhoff
