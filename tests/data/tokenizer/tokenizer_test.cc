#include "data/tokenizer/tokenizer.h"

#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/patterns.h"
#include "kernels/core/error.h"

namespace birkhoff::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<int32_t>;

// A tokenizer file with the 256 bytes as tokens 0 to 255, then a token for each of the given merges, then the special
// token <s>.
Json file_with(Json pre_tokenizer, const std::vector<std::pair<std::string, std::string>>& merges) {
  Json vocabulary, list = Json::array();
  for (int b = 0; b < 256; ++b) vocabulary[byte_characters()[b]] = b;
  for (const auto& [left, right] : merges) {
    vocabulary[left + right] = vocabulary.size();
    list.push_back(left + " " + right);
  }
  const Json special = {{"id", vocabulary.size()}, {"content", "<s>"}, {"special", true}};
  return {{"added_tokens", Json::array({special})},
          {"pre_tokenizer", std::move(pre_tokenizer)},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", list}}}};
}

Json byte_level(bool use_regex, bool prefix_space = false) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", prefix_space}, {"use_regex", use_regex}};
}

Json split(const std::string& regex, const std::string& behavior) {
  const Json step = {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", behavior}, {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", Json::array({step, byte_level(false)})}};
}

Tokenizer tokenizer_of(const Json& file) { return Tokenizer::parse(file.dump()); }

std::string refusal(const Json& file) {
  try {
    tokenizer_of(file);
  } catch (const UserError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Tokenizer, MergesTheEarliestMergeFirstAndTheLeftmostOfEquals) {
  const auto tokenizer = tokenizer_of(file_with(byte_level(false), {{"b", "c"}, {"a", "b"}, {"a", "a"}}));
  EXPECT_THAT(tokenizer.encode("abc"), ElementsAre('a', 256));
  EXPECT_THAT(tokenizer.encode("abab"), ElementsAre(257, 257));
  EXPECT_THAT(tokenizer.encode("aaa"), ElementsAre(258, 'a'));
  EXPECT_THAT(tokenizer.encode(""), ElementsAre());
}

TEST(Tokenizer, DoesNotMergeAcrossWords) {
  const auto whole = tokenizer_of(file_with(byte_level(false), {{"a", "1"}}));
  const auto cut = tokenizer_of(file_with(byte_level(true), {{"a", "1"}}));
  EXPECT_THAT(whole.encode("a1"), ElementsAre(256));
  EXPECT_THAT(cut.encode("a1"), ElementsAre('a', '1'));
}

TEST(Tokenizer, PutsASpaceInFrontWhereAsked) {
  const auto tokenizer = tokenizer_of(file_with(byte_level(true, true), {}));
  EXPECT_THAT(tokenizer.encode("a<s>b"), ElementsAre(' ', 'a', 256, ' ', 'b'));
  EXPECT_THAT(tokenizer.encode(" a"), ElementsAre(' ', 'a'));
}

TEST(Tokenizer, HonorsTheBehaviorsOfASplit) {
  const auto ids = [](const std::string& behavior) {
    return tokenizer_of(file_with(split("-", behavior), {{"a", "-"}, {"-", "b"}, {"-", "-"}})).encode("a--b");
  };
  EXPECT_THAT(ids("Isolated"), ElementsAre('a', '-', '-', 'b'));
  EXPECT_THAT(ids("Removed"), ElementsAre('a', 'b'));
  EXPECT_THAT(ids("Contiguous"), ElementsAre('a', 258, 'b'));
  EXPECT_THAT(ids("MergedWithPrevious"), ElementsAre(256, '-', 'b'));
  EXPECT_THAT(ids("MergedWithNext"), ElementsAre('a', '-', 257));
}

TEST(Tokenizer, GivesBackEveryByteInEveryStyle) {
  std::mt19937 random(3);
  for (const std::string& pattern : pattern_names()) {
    const auto tokenizer = tokenizer_of(file_with(pre_tokenizer_json(pattern), {{"t", "h"}, {"th", "e"}, {"Ã", "¤"}}));
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (uint32_t i = random() % 40; i > 0; --i) {
        const bool broken = random() % 3 == 0;
        text += broken ? std::string(1, static_cast<char>(random())) : std::string("the \xc3\xa4 12\r\n");
      }
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << pattern;
    }
  }
}

TEST(Tokenizer, TreatsBrokenUtf8AsAWordOfItsOwn) {
  const auto tokenizer = tokenizer_of(file_with(byte_level(true), {{"a", "ÿ"}, {"ÿ", "ÿ"}}));
  EXPECT_THAT(tokenizer.encode("a\xff\xff"), ElementsAre('a', 257));
}

TEST(Tokenizer, CutsOutAddedTokens) {
  Json file = file_with(byte_level(true), {});
  file["added_tokens"].push_back({{"id", 257}, {"content", "<one>"}, {"single_word", true}, {"normalized", false}});
  file["added_tokens"].push_back({{"id", 258}, {"content", "<s>>"}, {"lstrip", true}, {"rstrip", true}});
  const auto tokenizer = tokenizer_of(file);
  EXPECT_THAT(tokenizer.encode("<one>,"), ElementsAre(257, ','));
  EXPECT_EQ(tokenizer.encode("x<one>").size(), 6u);
  EXPECT_THAT(tokenizer.encode("a<s>b"), ElementsAre('a', 256, 'b'));
  EXPECT_EQ(tokenizer.decode(Ids{'a', 256, 257}, SpecialTokens::omit), "a<one>");
  EXPECT_TRUE(tokenizer.is_special(256));
  EXPECT_FALSE(tokenizer.is_special(257));
  EXPECT_EQ(tokenizer.bos(), 256);
  EXPECT_EQ(tokenizer.eos(), std::nullopt);
  EXPECT_EQ(tokenizer.vocab_size(), 259);
}

// The expectations are the results of the PyPI package tokenizers.
TEST(Tokenizer, TakesARunOfSpacesIntoOneAddedToken) {
  Json file = file_with(byte_level(true), {});
  file["added_tokens"].push_back(
      {{"id", 257}, {"content", " "}, {"lstrip", true}, {"rstrip", true}, {"normalized", false}});
  EXPECT_THAT(tokenizer_of(file).encode("a    b"), ElementsAre('a', 257, 'b'));
  EXPECT_THAT(tokenizer_of(file).encode(" \t a"), ElementsAre(257, 'a'));
}

TEST(Tokenizer, ChecksTypeSignAndRangeOfEveryNumber) {
  const auto with_id = [](const Json& id) {
    Json file = file_with(byte_level(true), {});
    file["added_tokens"][0]["id"] = id;
    return refusal(file);
  };
  for (const Json& id : {Json(-1), Json(int64_t{1} << 31), Json(256.0), Json("256"), Json(nullptr), Json(true),
                         Json(UINT64_MAX), Json(Json::array())}) {
    EXPECT_THAT(with_id(id), HasSubstr("the added token <s> the id")) << id;
  }
  Json file = file_with(byte_level(true), {});
  file["model"]["vocab"]["a"] = int64_t{1} << 40;
  EXPECT_THAT(refusal(file), HasSubstr("the token a the id 1099511627776"));
  file["model"]["vocab"]["a"] = 97;
  file["model"]["vocab"]["far"] = 16777215;
  file["added_tokens"] = Json::array();
  EXPECT_THAT(refusal(file), HasSubstr("go up to 16777215, but it has only 257 tokens"));
}

TEST(Tokenizer, RefusesWhatReadersInterpretDifferently) {
  Json file = file_with(byte_level(true), {});
  file["added_tokens"].push_back(file["added_tokens"][0]);
  EXPECT_THAT(refusal(file), HasSubstr("the added token <s> twice"));
  file["added_tokens"] = Json::array({{{"id", 256}, {"content", ""}}});
  EXPECT_THAT(refusal(file), HasSubstr("an added token without content"));
  file = file_with(byte_level(true), {});
  file["version"] = "2.0";
  EXPECT_THAT(refusal(file), HasSubstr("has the version \"2.0\"; expected \"1.0\""));
  const std::string text = file_with(byte_level(true), {}).dump();
  const auto parse = [](const std::string& json) {
    try {
      Tokenizer::parse(json);
    } catch (const UserError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(parse("{\"model\": 1, " + text.substr(1)), HasSubstr("has the key 'model' twice"));
  const std::string open(100000, '['), close(100000, ']');
  EXPECT_THAT(parse("{\"normalizer\": " + open), HasSubstr("nested deeper"));
  EXPECT_THAT(parse("{\"normalizer\": " + open + close + ", " + text.substr(1)), HasSubstr("nested deeper"));
}

TEST(Tokenizer, AddsTheTokensOfTheTemplateWhenAsked) {
  Json file = file_with(byte_level(true), {});
  file["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {256}}, {"tokens", {"<s>"}}}}}}};
  const auto tokenizer = tokenizer_of(file);
  EXPECT_THAT(tokenizer.encode("a"), ElementsAre('a'));
  EXPECT_THAT(tokenizer.encode("a", SpecialTokens::keep), ElementsAre(256, 'a'));
}

TEST(Tokenizer, RefusesATemplateWithAnIdThatNoTokenHas) {
  Json file = file_with(byte_level(true), {});
  file["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                            {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {99999}}, {"tokens", {"<s>"}}}}}}};
  EXPECT_THAT(refusal(file), HasSubstr("no token has the id 99999"));
}

TEST(Tokenizer, RefusesANormalizerThatMakesTooMuchOfAText) {
  Json file = file_with(byte_level(true), {});
  const Json step = {{"type", "Replace"}, {"pattern", {{"String", "x"}}}, {"content", std::string(10, 'x')}};
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", std::vector<Json>(10, step)}};
  try {
    tokenizer_of(file).encode("x");
    FAIL() << "no error";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("makes 10000000 bytes of a text of 1"));
  }
}

TEST(Tokenizer, NormalizesBeforeItCuts) {
  Json file = file_with(byte_level(true), {});
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFKC"}}, {{"type", "Lowercase"}}}}};
  EXPECT_THAT(tokenizer_of(file).encode("\uFF21\uFB01"), ElementsAre('a', 'f', 'i'));
}

TEST(Tokenizer, FallsBackToBytesAndToTheUnknownTokenInCharacterModels) {
  const Json model = {{"type", "BPE"},           {"vocab", {{"a", 0}, {"?", 1}, {"<0xC3>", 2}, {"<0xA4>", 3}}},
                      {"merges", Json::array()}, {"unk_token", "?"},
                      {"fuse_unk", true},        {"byte_fallback", true}};
  const auto tokenizer = tokenizer_of({{"model", model}});
  EXPECT_THAT(tokenizer.encode("a\xc3\xa4zz"), ElementsAre(0, 2, 3, 1));
}

TEST(Tokenizer, KnowsWholeWordsWhereMergesAreIgnored) {
  Json file = file_with(byte_level(true), {{"a", "b"}, {"b", "c"}, {"a", "bc"}});
  EXPECT_THAT(tokenizer_of(file).encode("abc"), ElementsAre(256, 'c'));
  file["model"]["ignore_merges"] = true;
  EXPECT_THAT(tokenizer_of(file).encode("abc"), ElementsAre(258));
}

TEST(Tokenizer, ReadsMergesAsPairsToo) {
  Json file = file_with(byte_level(true), {{"a", "b"}});
  file["model"]["merges"] = Json::array({Json::array({"a", "b"})});
  EXPECT_THAT(tokenizer_of(file).encode("ab"), ElementsAre(256));
}

TEST(Tokenizer, GivesTheSameIdsInManyThreads) {
  const auto tokenizer = tokenizer_of(file_with(pre_tokenizer_json("deepseek"), {{"t", "h"}, {"th", "e"}}));
  const std::string text = "the cat, the \u4e00 12345 and then the end\n";
  const Ids expected = tokenizer.encode(text);
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) count += tokenizer.encode(text) != expected;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST(Tokenizer, KeepsTheTextItWasReadFrom) {
  const std::string text = file_with(byte_level(true), {{"a", "b"}}).dump(3);
  EXPECT_EQ(Tokenizer::parse(text).to_json(), text);
}

TEST(Tokenizer, RefusesByNameWhatItCannotHonor) {
  const auto with = [](const char* path, Json value) {
    Json file = file_with(byte_level(true), {{"a", "b"}});
    file[Json::json_pointer(path)] = std::move(value);
    return refusal(file);
  };
  EXPECT_EQ(with("/version", "1.0"), "accepted");
  EXPECT_THAT(with("/model/dropout", 0.1), HasSubstr("dropout"));
  EXPECT_THAT(with("/model/end_of_word_suffix", "</w>"), HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(with("/model/type", "Unigram"), HasSubstr("Unigram"));
  EXPECT_THAT(with("/model/novelty", 1), HasSubstr("novelty"));
  EXPECT_THAT(with("/model/merges", {"a q"}), HasSubstr("vocabulary lacks"));
  EXPECT_THAT(with("/normalizer", {{"type", "Precompiled"}}), HasSubstr("Precompiled"));
  EXPECT_THAT(with("/pre_tokenizer", {{"type", "Metaspace"}}), HasSubstr("Metaspace"));
  EXPECT_THAT(with("/pre_tokenizer", split("\\bx", "Isolated")), HasSubstr("\\b"));
  EXPECT_THAT(with("/pre_tokenizer", split("(", "Isolated")), HasSubstr("a group without its end"));
  EXPECT_THAT(with("/pre_tokenizer", split("x", "Sideways")), HasSubstr("Sideways"));
  EXPECT_THAT(with("/post_processor", {{"type", "BertProcessing"}}), HasSubstr("BertProcessing"));
  EXPECT_THAT(with("/decoder", {{"type", "WordPiece"}}), HasSubstr("WordPiece"));
  EXPECT_THAT(with("/truncation", {{"max_length", 5}}), HasSubstr("truncation"));
  EXPECT_THAT(with("/added_tokens/0/id", 999), HasSubstr("999"));
  EXPECT_THAT(with("/model/vocab", {{"a", 0}}), HasSubstr("lacks the byte"));
  // A value of megabytes is quoted only by its beginning.
  for (const char* path : {"/normalizer", "/pre_tokenizer", "/post_processor", "/version", "/model/merges/0"})
    EXPECT_LT(with(path, Json::array_t(10'000, "value")).size(), 300u) << path;
  EXPECT_THROW(Tokenizer::parse("{"), UserError);
  EXPECT_THROW(Tokenizer::load("/nowhere/tokenizer.json"), UserError);
  EXPECT_THROW(tokenizer_of(file_with(byte_level(true), {})).decode(Ids{257}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
