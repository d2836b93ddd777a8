// Ids and texts that Hugging Face `tokenizers` gave, written by tokenizer_oracle.py --freeze.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/trainer.h"

namespace birkhoff::test {
namespace {

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(std::string(std::getenv("BIRKHOFF_SOURCE_DIR")) + "/" + path).rdbuf();
  return text.str();
}

nlohmann::json frozen() { return nlohmann::json::parse(read("tests/oracle/tokenizer_frozen.json")); }

TEST(FrozenTokenizers, GiveTheIdsAndTextsOfTokenizers) {
  const auto file = frozen();
  EXPECT_EQ(file.at("styles").size(), 4u);
  for (const auto& style : file.at("styles")) {
    const Tokenizer tokenizer = Tokenizer::parse(style.at("tokenizer").dump());
    for (const auto& row : style.at("cases")) {
      SCOPED_TRACE(style.at("name").get<std::string>() + ": " + row.at("text").dump());
      const std::vector<int32_t> ids = row.at("ids");
      EXPECT_EQ(tokenizer.encode(row.at("text").get<std::string>()), ids);
      EXPECT_EQ(tokenizer.decode(ids), row.at("decoded").get<std::string>());
      EXPECT_EQ(tokenizer.encode(row.at("text").get<std::string>(), SpecialTokens::keep),
                row.value("special_ids", ids));
    }
  }
}

// Turns merges written as strings, as in our files, into lists of two, as in the files of `tokenizers`.
nlohmann::json merges_as_pairs(const nlohmann::json& merges) {
  nlohmann::json pairs = nlohmann::json::array();
  for (const auto& merge : merges) {
    const std::string text = merge;
    pairs.push_back({text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)});
  }
  return pairs;
}

TEST(FrozenTokenizers, AreTrainedToTheSameMerges) {
  const auto file = frozen();
  for (const auto& style : file.at("styles")) {
    const std::string name = style.at("name");
    if (name == "other") continue;  // trained with a prefix space, which no pattern of ours has
    const auto& expected = style.at("tokenizer").at("model");
    std::vector<std::string> special;
    for (const auto& token : style.at("tokenizer").at("added_tokens")) {
      if (token.at("special")) special.push_back(token.at("content"));
    }
    TokenizerTrainer trainer({static_cast<int32_t>(expected.at("vocab").size()), 2, name, special});
    trainer.feed(read("LICENSE"));
    for (const auto& text : file.at("training_texts")) trainer.feed(text.get<std::string>());
    const auto model = nlohmann::json::parse(trainer.train().to_json()).at("model");
    EXPECT_EQ(merges_as_pairs(model.at("merges")), expected.at("merges")) << name;
    EXPECT_EQ(model.at("vocab"), expected.at("vocab")) << name;
  }
}

}  // namespace
}  // namespace birkhoff::test
