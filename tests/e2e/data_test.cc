// From text to tokens with birkhoff tokenizer and birkhoff data, and runs on broken data.
#include <csignal>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "data/ingest/commands.h"
#include "data/shard/writer.h"
#include "tests/e2e/training.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;

ProgramResult program(const std::string& arguments) {
  return run_program(std::string(BIRKHOFF_PROGRAM) + " " + arguments);
}
ProgramResult shell(const std::string& commands) { return run_program("sh -c '" + commands + "'"); }

// 400 short documents. Every third word is a number that differs between them.
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
    const ProgramResult r = program("tokenizer train " + inputs() + " --vocab-size 400 -o " + path("tokenizer.json"));
    ASSERT_EQ(r.exit_code, 0) << r.output;
    EXPECT_THAT(r.output, HasSubstr("400 tokens, trained on"));
    EXPECT_THAT(r.output, HasSubstr("in 3 files"));
  }
  void ingest() {
    make_tokenizer();
    const ProgramResult r = program("data ingest " + inputs() + " --tokenizer " + path("tokenizer.json") + " -o " +
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
  const ProgramResult inspect = program("data inspect " + path("data"));
  EXPECT_EQ(inspect.exit_code, 0);
  EXPECT_THAT(inspect.output, AllOf(HasSubstr("vocabulary 400"), HasSubstr("heldout: "), HasSubstr("train: ")));
  EXPECT_THAT(program("data inspect " + path("data/train/shard-00000.h5")).output, HasSubstr("sample 0: "));
  const ProgramResult verify = program("data verify " + path("data"));
  EXPECT_EQ(verify.exit_code, 0);
  EXPECT_THAT(verify.output, HasSubstr("all 1200 samples are intact"));
  const size_t heldout = std::filesystem::file_size(dir_ / "data/heldout.txt"), all = 3 * english(1).size();
  EXPECT_GT(heldout, all / 20);
  EXPECT_LT(heldout, all / 5);
  const ProgramResult again =
      program("data ingest " + inputs() + " --tokenizer " + path("tokenizer.json") + " -o " + path("data"));
  EXPECT_EQ(again.exit_code, 2) << "a dataset was overwritten";
}

TEST_F(Data, OptionsWithoutEffectAreRefused) {
  make_tokenizer();
  for (const auto& [options, message] :
       {std::pair("--split-regex x", "--split regex and --split-regex need each other"),
        std::pair("--split-bytes 5", "--split-bytes is for --split size; --split is whole"),
        std::pair("--min-bytes 5", "--min-bytes is for --split blank_lines and --split regex; --split is whole")}) {
    const ProgramResult run = program("data ingest " + path("a.txt") + " --tokenizer " + path("tokenizer.json") +
                                      " -o " + path("data") + " " + options);
    EXPECT_EQ(run.exit_code, 2) << run.output;
    EXPECT_THAT(run.output, HasSubstr(message));
  }
}

TEST_F(Data, PrintsTheBigramBaseline) {
  ingest();
  const ProgramResult r = program("data bigram " + path("data"));
  EXPECT_EQ(r.exit_code, 0);
  EXPECT_THAT(r.output, AllOf(HasSubstr("nats/token | bits_per_byte: "), HasSubstr(" | tokens: ")));
}

TEST_F(Data, ADamagedShardIsRefusedWithCodeSix) {
  ingest();
  damage_shard();
  const ProgramResult verify = program("data verify " + path("data"));
  EXPECT_EQ(verify.exit_code, 6);
  EXPECT_THAT(verify.output, AllOf(HasSubstr("shard-00000.h5"), HasSubstr("sample"), HasSubstr("checksum")));
}

TEST_F(Data, ATruncatedShardIsRefusedWithCodeSix) {
  ingest();
  std::filesystem::resize_file(dir_ / "data/train/shard-00000.h5", 1000);
  const ProgramResult verify = program("data verify " + path("data"));
  EXPECT_EQ(verify.exit_code, 6);
  EXPECT_THAT(verify.output, HasSubstr("shard-00000.h5"));
  const ProgramResult train_it = program(train("[{path: " + path("data") + "}]"));
  EXPECT_EQ(train_it.exit_code, 6);
  EXPECT_THAT(train_it.output, HasSubstr("shard-00000.h5"));
}

int64_t occurrences(const std::string& text, const std::string& of) {
  int64_t count = 0;
  for (size_t at = text.find(of); at != std::string::npos; at = text.find(of, at + 1)) ++count;
  return count;
}

TEST_F(Data, OneRankThatReadsADamagedSampleEndsAllWithOneMessageAndCodeSix) {
  ingest();
  damage_shard();
  const std::string command = mpirun(2) + BIRKHOFF_PROGRAM + " " + train("[{path: " + path("data") + "}]") +
                              " --set run.steps=100000 --set run.log_interval=1000";
  const ProgramResult run = run_program(command);
  EXPECT_EQ(run.exit_code, 6) << run.output;
  EXPECT_THAT(run.output, HasSubstr("data error: rank "));
  EXPECT_EQ(occurrences(run.output, "checksum: expected "), 1) << run.output;
}

TEST_F(Data, UnderSkipADamagedSampleIsCountedOverAllReplicasAndTheRunGoesOn) {
  ingest();
  damage_shard();
  const std::string command = mpirun(2) + BIRKHOFF_PROGRAM + " " + train("[{path: " + path("data") + "}]") +
                              " --set run.steps=250 --set data.bad_samples=skip";
  const ProgramResult run = run_program(command);
  EXPECT_EQ(run.exit_code, 0) << run.output;
  std::istringstream lines(read_file(dir_ / "run/metrics.jsonl"));
  int64_t first = -1, last = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json.at("event") != "step") continue;
    const int64_t bad = json.at("bad_samples_total");
    EXPECT_GE(bad, last);
    last = bad;
    if (first < 0) first = bad;
  }
  // One sample is damaged. A sample that two replicas read is counted by both.
  EXPECT_GE(last, 1);
  EXPECT_LE(last, 2);
  EXPECT_THAT(first, testing::Le(last));
}

TEST_F(Data, AShardDeletedWhileTrainingReadsItEndsTheRunWithCodeSix) {
  make_tokenizer();
  IngestOptions options;
  options.inputs = {path("a.txt"), path("b.txt.gz"), path("folder")};
  options.tokenizer = path("tokenizer.json");
  options.output = path("data");
  options.split.kind = SplitRule::Kind::blank_lines;
  options.max_shard_bytes = 1000;  // makes more shards than are kept open
  ASSERT_GT(birkhoff::ingest(options).split("train").shards.size(), 200u);
  for (const char* policy : {"fail", "skip"}) {
    const std::filesystem::path moved = dir_ / "moved", shards = dir_ / "data/train";
    std::filesystem::remove_all(dir_ / "run");
    Background run(mpirun(2) + BIRKHOFF_PROGRAM + " " + train("[{path: " + path("data") + "}]") +
                       " --set run.steps=100000 --set data.bad_samples=" + policy,
                   path("log"));
    ASSERT_TRUE(run.shows("step: 2/", 60)) << run.output();
    std::filesystem::rename(shards, moved);
    EXPECT_EQ(run.wait(60), 6) << run.output();
    EXPECT_THAT(run.output(), AllOf(HasSubstr("\ndata error: "), HasSubstr("no such file")));
    std::filesystem::rename(moved, shards);
  }
}

TEST_F(Data, ASampleThatIsNotTextIsRefusedByNameUnderEitherPolicy) {
  ingest();
  const DatasetManifest made = read_manifest(dir_ / "data");
  std::filesystem::remove_all(dir_ / "data/train");
  ShardWriter writer(dir_ / "data/train", {made.vocab_size, made.tokenizer_digest, 1 << 20});
  Sample sample;
  sample.segments = {Segment::text({5, 6, made.end_token}), Segment::opaque({1, 2, 3}, {3})};
  writer.add(sample);
  DatasetManifest opaque = made;
  opaque.splits["train"] = writer.finish();
  write_manifest(dir_ / "data", opaque);
  for (const char* policy : {"fail", "skip"}) {
    const ProgramResult run = program(train("[{path: " + path("data") + "}]") + " --set data.bad_samples=" + policy);
    EXPECT_EQ(run.exit_code, 6) << run.output;
    EXPECT_THAT(run.output, HasSubstr("shard-00000.h5: sample 0, segment 1: its modality is 'opaque', but a text-only "
                                      "run takes only 'text'"));
  }
}

TEST_F(Data, AManifestWhoseEndTokenIsNoTokenIsRefused) {
  ingest();
  DatasetManifest manifest = read_manifest(dir_ / "data");
  manifest.end_token = 400;
  write_manifest(dir_ / "data", manifest);
  const ProgramResult run = program(train("[{path: " + path("data") + "}]"));
  EXPECT_EQ(run.exit_code, 6) << run.output;
  EXPECT_THAT(run.output, HasSubstr("dataset.json: end_token is 400, expected one of its vocabulary of 400"));
}

TEST_F(Data, AKilledIngestionLeavesNoDatasetAndTheNextOneSucceeds) {
  make_tokenizer();
  // A large file after the others keeps the ingestion busy with its input for seconds.
  std::string large = english(41);
  while (large.size() < size_t{100} << 20) large += large;
  write_file(dir_ / "large.txt", large);
  const std::string tool = std::string(BIRKHOFF_PROGRAM) + " data ingest ",
                    made = " --tokenizer " + path("tokenizer.json") + " -o " + path("data") +
                           " --split blank_lines --max-shard-mib 1 ";
  const std::string many = path("many");
  std::filesystem::create_directories(many);
  for (int i = 0; i < 40; ++i) write_file(dir_ / "many" / (std::to_string(i) + ".txt"), english(i));
  Background killed(tool + many + " " + path("large.txt") + made, path("log"));
  const std::filesystem::path first = dir_ / "data/train/shard-00000.h5";
  for (int i = 0; i < 6000 && !std::filesystem::exists(first); ++i) usleep(10000);
  ASSERT_TRUE(std::filesystem::exists(first)) << killed.output();
  killed.signal(SIGKILL);
  killed.wait(30);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "data/dataset.json"));
  EXPECT_EQ(program("data inspect " + path("data")).exit_code, 6) << "an unfinished dataset is none";
  write_file(dir_ / "data/train/shard-00077.h5", "of an ingestion that was killed");
  write_file(dir_ / "data/train/.shard-00078.h5.1.tmp", "half of one");
  const ProgramResult again = program("data ingest " + path("a.txt") + made);
  EXPECT_EQ(again.exit_code, 0) << again.output;
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir_ / "data/train"))
    files.insert(entry.path().filename().string());
  EXPECT_THAT(files, testing::ElementsAre("shard-00000.h5"));
  EXPECT_EQ(program("data verify " + path("data")).exit_code, 0);
}

TEST_F(Data, AMissingShardOrDatasetIsRefusedWithCodeSix) {
  ingest();
  std::filesystem::remove(dir_ / "data/train/shard-00000.h5");
  const ProgramResult run = program(train("[{path: " + path("data") + "}]"));
  EXPECT_EQ(run.exit_code, 6);
  EXPECT_THAT(run.output, HasSubstr("shard-00000.h5"));
  const ProgramResult nothing = program("data inspect " + path("folder"));
  EXPECT_EQ(nothing.exit_code, 6);
  EXPECT_THAT(nothing.output, HasSubstr("dataset.json"));
}

TEST_F(Data, AnInvalidMixtureIsRefusedBeforeTheFirstStep) {
  ingest();
  const std::string source = "{path: " + path("data");
  const struct {
    std::string sources;
    int exit_code;
    std::string message;
  } cases[] = {
      {"[" + source + ", weight: 0}]", 2, "weight"},
      {"[" + source + ", weight: -1}]", 2, "weight"},
      {"[" + source + ", weight: .nan}]", 2, "weight"},
      {"[]", 2, "at least one dataset of birkhoff data ingest is needed"},
      {"[{path: " + path("folder") + "}]", 6, "dataset.json"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.sources);
    const ProgramResult run = program(train(c.sources));
    EXPECT_EQ(run.exit_code, c.exit_code) << run.output;
    EXPECT_THAT(run.output, HasSubstr(c.message));
    EXPECT_THAT(run.output, testing::Not(HasSubstr("step: 1/")));
  }
}

}  // namespace
}  // namespace birkhoff::test
