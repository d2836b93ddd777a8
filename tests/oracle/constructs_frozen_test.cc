// Matches of regular expressions and ids of added tokens that Hugging Face `tokenizers` gave, written by
// construct_oracle.py --freeze.
#include <cstdlib>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "data/tokenizer/regex.h"
#include "data/tokenizer/tokenizer.h"
#include "kernels/core/error.h"
#include "tests/support/temp_dir.h"

namespace birkhoff::test {
namespace {

nlohmann::json frozen() {
  return nlohmann::json::parse(
      read_file(std::string(std::getenv("BIRKHOFF_SOURCE_DIR")) + "/tests/oracle/constructs_frozen.json"));
}

// The text with U+E000 in place of every match.
std::string marked(const Regex& regex, const std::string& text) {
  std::string out;
  size_t end = 0;
  regex.for_each_match(text, [&](Match match) {
    out += text.substr(end, match.begin - end) + "\ue000";
    end = match.end;
  });
  return out + text.substr(end);
}

TEST(FrozenConstructs, GiveTheMatchesOfTokenizers) {
  const auto file = frozen();
  const std::vector<std::string> texts = file.at("texts");
  for (const auto& row : file.at("accepted")) {
    SCOPED_TRACE(row.at(0).dump());
    const Regex regex(row.at(0).get<std::string>());
    for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(marked(regex, texts[i]), row.at(1).at(i).get<std::string>());
  }
}

TEST(FrozenConstructs, AreRefusedWhereTheyWouldDiffer) {
  const auto file = frozen();
  for (const auto& pattern : file.at("refused")) EXPECT_THROW(Regex(pattern.get<std::string>()), UserError) << pattern;
}

TEST(FrozenAddedTokens, GiveTheIdsOfTokenizers) {
  const auto file = frozen();
  const std::vector<std::string> texts = file.at("added_texts");
  for (const auto& row : file.at("added")) {
    auto json = file.at("tokenizer");
    json["added_tokens"] = row.at("added_tokens");
    const Tokenizer tokenizer = Tokenizer::parse(json.dump());
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(tokenizer.encode(texts[i]), row.at("ids").at(i).get<std::vector<int32_t>>())
          << row.at("added_tokens") << " on '" << texts[i] << "'";
    }
  }
}

}  // namespace
}  // namespace birkhoff::test
