#include "data/tokenizer/trainer.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "data/tokenizer/commands.h"
#include "data/tokenizer/merge_learner.h"
#include "kernels/core/error.h"

namespace birkhoff::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// An example from the tests of Hugging Face `tokenizers`: words with counts, from which three merges are expected.
TEST(MergeLearner, FindsTheMergesOfAPublishedExample) {
  const std::vector<std::pair<std::string, int>> words = {{"roses", 1}, {"are", 2},  {"red", 1},  {"voilets", 1},
                                                          {"blue", 1},  {"BERT", 1}, {"is", 2},   {"big", 1},
                                                          {"and", 1},   {"so", 1},   {"GPT-2", 1}};
  const std::string alphabet = "-2BEGPRTabdegilnorstuv";
  std::vector<std::string> tokens;
  for (const char c : alphabet) tokens.emplace_back(1, c);
  MergeLearner learner(tokens);
  for (const auto& [word, count] : words) {
    std::vector<int32_t> symbols;
    for (const char c : word) symbols.push_back(static_cast<int32_t>(alphabet.find(c)));
    learner.add_word(symbols, count);
  }
  learner.learn(30000, 2);
  const std::vector<std::string> learned(learner.tokens().begin() + 22, learner.tokens().end());
  EXPECT_THAT(learned, ElementsAre("re", "are", "is"));
}

TEST(MergeLearner, CountsOverlappingPairsAsTheyAreMerged) {
  MergeLearner learner({"a", "b"});
  learner.add_word({0, 0, 0, 0, 1}, 3);
  learner.learn(5, 1);
  // After the first merge the word is aa aa b. Now (aa, b) and (aa, aa) are equally frequent, and b has the smaller id.
  EXPECT_THAT(learner.tokens(), ElementsAre("a", "b", "aa", "aab", "aaaab"));
}

Tokenizer trained(std::string pattern, int32_t size) {
  TokenizerTrainer trainer({size, 2, std::move(pattern), {"<|endoftext|>", "<pad>"}});
  trainer.feed("the cat and the dog and the bird, 12 and 12");
  trainer.feed("the end\xff\xff");
  return trainer.train();
}

TEST(TokenizerTrainer, NumbersSpecialTokensThenBytesThenMerges) {
  const Tokenizer tokenizer = trained("llama3", 262);
  EXPECT_EQ(tokenizer.vocab_size(), 262);
  EXPECT_EQ(tokenizer.eos(), 0);
  EXPECT_EQ(tokenizer.pad(), 1);
  EXPECT_EQ(tokenizer.id_of("!"), 2);
  EXPECT_EQ(tokenizer.token_of(257), "\u0143");
  EXPECT_EQ(tokenizer.id_of("he"), 258);  // he, nd and th are equally frequent: the smaller first byte wins
  EXPECT_EQ(tokenizer.id_of("nd"), 259);
  EXPECT_THAT(tokenizer.encode("the<|endoftext|>"), testing::Contains(0));
}

TEST(TokenizerTrainer, IsTheSameInAnyOrderOfTexts) {
  const std::vector<std::string> texts = {"abc abd", "bcd bcd", "xyz abc xyz"};
  TokenizerTrainer forward({270, 1, "gpt2", {}}), backward({270, 1, "gpt2", {}});
  for (size_t i = 0; i < texts.size(); ++i) {
    forward.feed(texts[i]);
    backward.feed(texts[texts.size() - 1 - i]);
  }
  EXPECT_EQ(forward.train().to_json(), backward.train().to_json());
}

TEST(TokenizerTrainer, StopsWherePairsRunOut) {
  EXPECT_LT(trained("gpt2", 5000).vocab_size(), 300);
  EXPECT_EQ(trained("deepseek", 258).vocab_size(), 258);
}

TEST(TokenizerTrainer, RefusesWhatCannotBeTrained) {
  EXPECT_THROW(TokenizerTrainer({256, 2, "gpt2", {"<s>"}}), UserError);
  EXPECT_THROW(TokenizerTrainer({300, 2, "gpt5", {}}), UserError);
  EXPECT_THROW(TokenizerTrainer({300, 2, "gpt2", {"<s>", "<s>"}}), UserError);
  EXPECT_THROW(TokenizerTrainer({300, 2, "gpt2", {"a"}}), UserError);
  EXPECT_THROW(TokenizerTrainer({300, 2, "gpt2", {""}}), UserError);
  EXPECT_THROW(TokenizerTrainer({300, 2, "gpt2", {"x\xff"}}), UserError);
}

class TokenizerCommands : public testing::Test {
 protected:
  TokenizerCommands() : folder_(testing::TempDir() + "tokenizer_commands") {
    std::filesystem::create_directories(folder_);
  }
  ~TokenizerCommands() override { std::filesystem::remove_all(folder_); }

  TokenizerTrainReport train(const std::string& out) const {
    const auto feed = [](const DocumentUse& use) {
      use("the cat and the dog\n");
      use("the cat and the cat\n");
    };
    return train_tokenizer(feed, {270, 2, "llama3", {"<|endoftext|>"}}, folder_ + "/" + out);
  }
  std::string refusal(const std::string& out) const {
    try {
      train(out);
    } catch (const Error& error) {
      return error.what();
    }
    return "trained";
  }

  std::string folder_;
};

TEST_F(TokenizerCommands, RefuseAPlaceThatCannotBeWrittenBeforeAnyTextIsRead) {
  std::filesystem::create_directories(folder_ + "/taken.json");
  EXPECT_THAT(refusal("taken.json"), testing::HasSubstr("taken.json is no regular file"));
  ASSERT_EQ(::mkfifo((folder_ + "/pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal("pipe"), testing::HasSubstr("pipe is no regular file"));
  EXPECT_THAT(refusal("nowhere/tokenizer.json"),
              testing::HasSubstr("nowhere/tokenizer.json: cannot be written: No such file or directory"));
}

TEST_F(TokenizerCommands, ReplaceNothingButATokenizer) {
  std::ofstream(folder_ + "/corpus.txt") << "a text of a user\n";
  std::ofstream(folder_ + "/config.json") << "{}";
  EXPECT_THAT(refusal("corpus.txt"), testing::HasSubstr("corpus.txt exists and is no tokenizer.json"));
  EXPECT_THAT(refusal("config.json"), testing::HasSubstr("config.json exists and is no tokenizer.json"));
  EXPECT_EQ(std::filesystem::file_size(folder_ + "/corpus.txt"), 17u);
  EXPECT_EQ(refusal("tokenizer.json"), "trained");
  EXPECT_EQ(refusal("tokenizer.json"), "trained");
}

// Removes partial files that the program of commit 387785c left when it was killed while writing, but not a user's
// files of such a name.
TEST_F(TokenizerCommands, RemoveWhatAKilledTrainingOfAnOldProgramLeft) {
  const std::string partial = folder_ + "/tokenizer.json.partial",
                    beginning = "{\n \"version\": \"1.0\",\n \"truncation\": null,\n \"padding\": null,\n \"added_to";
  const auto kept = [&](const std::string& text, std::chrono::minutes age) {
    std::ofstream(partial) << text;
    const auto now = std::filesystem::file_time_type::clock::now();
    std::filesystem::last_write_time(partial, now - age);
    EXPECT_EQ(refusal("tokenizer.json"), "trained");
    return std::filesystem::exists(partial);
  };
  for (const std::string& text : {beginning, beginning.substr(0, 7), std::string()}) {
    EXPECT_FALSE(kept(text, std::chrono::minutes(2))) << text;
    EXPECT_TRUE(kept(text, std::chrono::minutes(0))) << "its writer may be at work";
  }
  EXPECT_TRUE(kept("a text of a user", std::chrono::minutes(2)));
  EXPECT_TRUE(kept("{\n \"version\": \"2.0\"", std::chrono::minutes(2)));
  std::filesystem::rename(partial, folder_ + "/target");
  std::filesystem::create_symlink(folder_ + "/target", partial);
  EXPECT_EQ(refusal("tokenizer.json"), "trained");
  EXPECT_TRUE(std::filesystem::is_symlink(partial));
}

TEST_F(TokenizerCommands, RefuseAnInputWithoutText) {
  const auto nothing = [](const DocumentUse&) {};
  EXPECT_THROW(train_tokenizer(nothing, {270, 2, "gpt2", {}}, folder_ + "/tokenizer.json"), DataError);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/tokenizer.json"));
}

TEST_F(TokenizerCommands, TrainEncodeAndDecode) {
  const auto report = train("tokenizer.json");
  EXPECT_EQ(report.documents, 2);
  EXPECT_EQ(report.bytes, 40);
  EXPECT_EQ(report.vocab_size, Tokenizer::load(folder_ + "/tokenizer.json").vocab_size());

  const Tokenizer tokenizer = Tokenizer::load(folder_ + "/tokenizer.json");
  const std::string text = "the cat\n\nsees \xff it";
  std::istringstream in(text), whole(text);
  std::ostringstream lines, line, decoded;
  encode_stream(tokenizer, in, lines, EncodeBy::line);
  encode_stream(tokenizer, whole, line, EncodeBy::whole);
  const std::string by_line = lines.str(), at_once = line.str();
  EXPECT_EQ(std::count(by_line.begin(), by_line.end(), '\n'), 3);
  EXPECT_EQ(std::count(at_once.begin(), at_once.end(), '\n'), 1);
  std::istringstream ids(by_line);
  decode_stream(tokenizer, ids, decoded);
  EXPECT_EQ(decoded.str(), text);
}

TEST_F(TokenizerCommands, NameWhatIsWrong) {
  train("tokenizer.json");
  std::istringstream ids("12 x3");
  std::ostringstream out;
  EXPECT_THROW(decode_stream(Tokenizer::load(folder_ + "/tokenizer.json"), ids, out), UserError);
}

}  // namespace
}  // namespace birkhoff::test
