#include "data/tokenizer/patterns.h"

#include <algorithm>

#include "data/tokenizer/trainer.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// DeepSeek-V3 splits in three passes: digits in groups of up to three, runs of Chinese and Japanese, then the rest.
constexpr const char* kDeepSeekDigits = R"(\p{N}{1,3})";
constexpr const char* kDeepSeekHanKana = "[一-龥\u3040-ゟ゠-ヿ]+";
constexpr const char* kDeepSeekRest =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json split(const char* regex) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
}

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json sequence(Json steps) { return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}}; }

}  // namespace

const std::vector<std::string>& pattern_names() {
  static const std::vector<std::string> names = {"gpt2", "llama3", "deepseek"};
  return names;
}

Json pre_tokenizer_json(const std::string& pattern) {
  if (pattern == "gpt2") return byte_level(true);
  if (pattern == "llama3") return sequence(Json::array({split(kLlama3), byte_level(false)}));
  if (pattern == "deepseek") {
    return sequence(
        Json::array({split(kDeepSeekDigits), split(kDeepSeekHanKana), split(kDeepSeekRest), byte_level(false)}));
  }
  std::string known;
  for (const std::string& name : pattern_names()) known += (known.empty() ? "" : ", ") + name;
  throw UserError(concat("no tokenizer pattern is called ", pattern, "; known are ", known));
}

}  // namespace birkhoff
