// Text to tokens through the program: birkhoff tokenizer and birkhoff data, and runs on data that is broken.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/training.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;

ProgramResult birkhoff(const std::string& arguments) {
  return run_program(std::string(BIRKHOFF_PROGRAM) + " " + arguments);
}
ProgramResult shell(const std::string& commands) { return run_program("sh -c '" + commands + "'"); }

// 400 short documents, every third word of which tells them apart.
std::string english(int seed) {
  static const char* const kWords[] = {"the",    "river", "flows", "under", "an",  "old",
                                       "bridge", "of",    "stone", "and",   "sand"};
  std::string text;
  for (int d = 0; d < 400; ++d) {
    for (int w = 0; w < 20; ++w) {
      text += w % 3 == 2 ? std::to_string(d * 7 + seed + w) : kWords[(d * 5 + w * w + seed) % 11];
      text += w == 19 ? ".\n\n" : " ";
    }
  }
  return text;
}

class Data : public testing::Test {
 protected:
  Data() {
    write_file(dir_ / "a.txt", english(1));
    write_file(dir_ / "b.txt", english(2));
    write_file(dir_ / "folder/c.txt", english(3));
    EXPECT_EQ(shell("gzip " + path("b.txt")).exit_code, 0);
  }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  std::string inputs() const { return path("a.txt") + " " + path("b.txt.gz") + " " + path("folder"); }

  void make_tokenizer() {
    const ProgramResult r = birkhoff("tokenizer train " + inputs() + " --vocab-size 400 -o " + path("tokenizer.json"));
    ASSERT_EQ(r.exit_code, 0) << r.output;
    EXPECT_THAT(r.output, HasSubstr("400 tokens, trained on"));
    EXPECT_THAT(r.output, HasSubstr("in 3 files"));
  }
  void ingest() {
    make_tokenizer();
    const ProgramResult r = birkhoff("data ingest " + inputs() + " --tokenizer " + path("tokenizer.json") + " -o " +
                                     path("data") + " --split blank_lines --heldout 0.1 --heldout-text --seed 3");
    ASSERT_EQ(r.exit_code, 0) << r.output;
  }
  std::string train(const std::string& sources) const {
    const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
    return "train " + std::string(source ? source : ".") + "/configs/test.yaml --set run.dir=" + path("run") +
           " --set run.steps=2 --set checkpoint.interval=0 --set data.tokenizer=" + path("tokenizer.json") +
           " --set \"data.sources=" + sources + "\"";
  }
  // Overwrites a few bytes in the middle of the only training shard.
  void damage_shard() const {
    std::fstream file(dir_ / "data/train/shard-00000.h5", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(dir_ / "data/train/shard-00000.h5") / 2));
    file << "damage";
  }
  TempDir dir_;
};

TEST_F(Data, EncodingAndDecodingGivesBackEveryByte) {
  make_tokenizer();
  std::ofstream(dir_ / "bytes", std::ios::binary) << english(9) << "na\xc3\xafve \xff\xfe \xe2\x82 end";
  const std::string tool = std::string(BIRKHOFF_PROGRAM) + " tokenizer ";
  for (const char* how : {"", "--whole"}) {
    const ProgramResult r =
        shell(tool + "encode " + path("tokenizer.json") + " " + how + " <" + path("bytes") + " >" + path("ids") +
              " && " + tool + "decode " + path("tokenizer.json") + " <" + path("ids") + " | cmp - " + path("bytes"));
    EXPECT_EQ(r.exit_code, 0) << how << r.output;
  }
  EXPECT_THAT(read_file(dir_ / "ids").substr(0, 20), MatchesRegex("[0-9 ]+"));
  write_file(dir_ / "words", "12 twelve");
  const ProgramResult bad = shell(tool + "decode " + path("tokenizer.json") + " <" + path("words"));
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.output, HasSubstr("twelve"));
}

TEST_F(Data, IngestsInspectsAndVerifies) {
  ingest();
  const ProgramResult inspect = birkhoff("data inspect " + path("data"));
  EXPECT_EQ(inspect.exit_code, 0);
  EXPECT_THAT(inspect.output, AllOf(HasSubstr("vocabulary 400"), HasSubstr("heldout: "), HasSubstr("train: ")));
  EXPECT_THAT(birkhoff("data inspect " + path("data/train/shard-00000.h5")).output, HasSubstr("sample 0: "));
  const ProgramResult verify = birkhoff("data verify " + path("data"));
  EXPECT_EQ(verify.exit_code, 0);
  EXPECT_THAT(verify.output, HasSubstr("all 1200 samples are intact"));
  const size_t heldout = std::filesystem::file_size(dir_ / "data/heldout.txt"), all = 3 * english(1).size();
  EXPECT_GT(heldout, all / 20);
  EXPECT_LT(heldout, all / 5);
  const ProgramResult again =
      birkhoff("data ingest " + inputs() + " --tokenizer " + path("tokenizer.json") + " -o " + path("data"));
  EXPECT_EQ(again.exit_code, 2) << "a dataset was overwritten";
}

TEST_F(Data, PrintsTheBigramBaseline) {
  ingest();
  const ProgramResult r = birkhoff("data bigram " + path("data"));
  EXPECT_EQ(r.exit_code, 0);
  EXPECT_THAT(r.output, AllOf(HasSubstr("nats/token | bits_per_byte: "), HasSubstr(" | tokens: ")));
}

TEST_F(Data, ADamagedShardIsRefusedWithCodeSix) {
  ingest();
  damage_shard();
  const ProgramResult verify = birkhoff("data verify " + path("data"));
  EXPECT_EQ(verify.exit_code, 6);
  EXPECT_THAT(verify.output, AllOf(HasSubstr("shard-00000.h5"), HasSubstr("sample"), HasSubstr("checksum")));
}

TEST_F(Data, ATruncatedShardIsRefusedWithCodeSix) {
  ingest();
  std::filesystem::resize_file(dir_ / "data/train/shard-00000.h5", 1000);
  const ProgramResult verify = birkhoff("data verify " + path("data"));
  EXPECT_EQ(verify.exit_code, 6);
  EXPECT_THAT(verify.output, HasSubstr("shard-00000.h5"));
  const ProgramResult train_it = birkhoff(train("[{path: " + path("data") + "}]"));
  EXPECT_EQ(train_it.exit_code, 6);
  EXPECT_THAT(train_it.output, HasSubstr("shard-00000.h5"));
}

TEST_F(Data, AMissingShardOrDatasetIsRefusedWithCodeSix) {
  ingest();
  std::filesystem::remove(dir_ / "data/train/shard-00000.h5");
  const ProgramResult run = birkhoff(train("[{path: " + path("data") + "}]"));
  EXPECT_EQ(run.exit_code, 6);
  EXPECT_THAT(run.output, HasSubstr("shard-00000.h5"));
  const ProgramResult nothing = birkhoff("data inspect " + path("folder"));
  EXPECT_EQ(nothing.exit_code, 6);
  EXPECT_THAT(nothing.output, HasSubstr("dataset.json"));
}

TEST_F(Data, AMixtureThatIsNoneIsRefusedBeforeTheFirstStep) {
  ingest();
  const std::string source = "{path: " + path("data");
  const struct {
    std::string sources;
    int exit_code;
    std::string message;
  } cases[] = {
      {"[" + source + ", weight: 0}]", 2, "weight"},           {"[" + source + ", weight: -1}]", 2, "weight"},
      {"[" + source + ", weight: .nan}]", 2, "weight"},        {"[]", 2, "data.sources is empty"},
      {"[{path: " + path("folder") + "}]", 6, "dataset.json"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.sources);
    const ProgramResult run = birkhoff(train(c.sources));
    EXPECT_EQ(run.exit_code, c.exit_code) << run.output;
    EXPECT_THAT(run.output, HasSubstr(c.message));
    EXPECT_THAT(run.output, testing::Not(HasSubstr("step: 1/")));
  }
}

}  // namespace
}  // namespace birkhoff::test
