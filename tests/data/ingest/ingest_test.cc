#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "data/ingest/commands.h"
#include "data/shard/shard_set.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/trainer.h"
#include "kernels/core/error.h"
#include "tests/support/tiny_disk.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string gzip(const std::string& text) {
  const TempDir dir;
  gzFile file = gzopen((dir / "a").c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  return read_file(dir / "a");
}

std::string long_text() {
  std::string text;
  for (int i = 0; i < 300; ++i) text += concat("Entry ", i, "\nthe meaning of ", i * i, "\n\n");
  return text;
}

class Ingest : public testing::Test {
 protected:
  Ingest() {
    TokenizerTraining training;
    training.vocab_size = 300;
    TokenizerTrainer trainer(training);
    trainer.feed(long_text());
    write_file(dir_ / "tokenizer.json", trainer.train().to_json());
    write_file(dir_ / "in" / "a.txt.gz", gzip(long_text()));
    options_.inputs = {(dir_ / "in").string()};
    options_.tokenizer = (dir_ / "tokenizer.json").string();
    options_.output = dir_ / "out";
    options_.split.kind = SplitRule::Kind::blank_lines;
    options_.heldout_fraction = 0.1;
    options_.max_shard_bytes = 8000;
    options_.write_heldout_text = true;
  }
  TempDir dir_;
  IngestOptions options_;
};

TEST_F(Ingest, KeepsEveryByteInOneOfTheTwoSplits) {
  const DatasetManifest manifest = ingest(options_);
  const Tokenizer tokenizer = Tokenizer::load(options_.tokenizer);
  std::string heldout;
  int64_t documents = 0, bytes = 0;
  for (const std::string split : {"train", "heldout"}) {
    ShardSet set(options_.output, split);
    for (int64_t i = 0; i < set.num_samples(); ++i, ++documents) {
      TextSample text = set.read_text(i);
      ASSERT_EQ(text.tokens.back(), manifest.end_token);
      text.tokens.pop_back();
      const std::string decoded = tokenizer.decode(text.tokens);
      EXPECT_EQ(static_cast<int64_t>(decoded.size()), text.source_bytes);
      EXPECT_NE(long_text().find(decoded), std::string::npos);
      bytes += text.source_bytes;
      if (split == "heldout") heldout += decoded;
    }
  }
  EXPECT_EQ(documents, 300);
  EXPECT_EQ(bytes, static_cast<int64_t>(long_text().size()));
  EXPECT_EQ(heldout, read_file(options_.output / "heldout.txt"));
  EXPECT_GT(manifest.split("heldout").num_samples, 10);
  EXPECT_LT(manifest.split("heldout").num_samples, 60);
  EXPECT_GT(manifest.split("train").shards.size(), 1u);
  EXPECT_THAT(verify_data(options_.output), HasSubstr("all 300 samples are intact"));
  EXPECT_THAT(inspect_data(options_.output), HasSubstr("train: "));
  EXPECT_THAT(inspect_data(options_.output / "train" / "shard-00000.h5"), HasSubstr("sample 0: "));
}

TEST_F(Ingest, DoesNotDependOnTheNumberOfThreads) {
  ingest(options_);
  options_.num_threads = 3;
  options_.output = dir_ / "again";
  ingest(options_);
  for (const char* file : {"dataset.json", "heldout.txt", "train/shard-00000.h5", "heldout/shard-00000.h5"})
    EXPECT_EQ(read_file(dir_ / "out" / file), read_file(dir_ / "again" / file)) << file;
}

TEST_F(Ingest, VerifyListsEveryDefect) {
  ingest(options_);
  const auto first = options_.output / "train" / "shard-00000.h5";
  write_file(first, read_file(first).substr(0, 1000));
  std::filesystem::remove(options_.output / "heldout" / "shard-00000.h5");
  const std::string message = message_of([&] { verify_data(options_.output); });
  EXPECT_THAT(message, HasSubstr("2 defects"));
  EXPECT_THAT(message, HasSubstr("shard-00000.h5: truncated"));
  EXPECT_THAT(message, HasSubstr("shard-00000.h5: no such file"));
}

TEST_F(Ingest, SaysThatEverythingIsHeldOut) {
  write_file(dir_ / "few.txt", "one\n\n\ntwo\n");
  options_.inputs = {(dir_ / "few.txt").string()};
  options_.heldout_fraction = 0.9999999;
  EXPECT_THAT(message_of([&] { ingest(options_); }),
              AllOf(HasSubstr("went to the held-out split, and none is left to train on"), HasSubstr("--heldout")));
  write_file(dir_ / "few.txt", "");
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("the input holds no text to train on"));
}

TEST_F(Ingest, VerifyNamesEveryShardThatDiffersFromItsDescription) {
  DatasetManifest manifest = ingest(options_);
  SplitManifest& train = manifest.splits["train"];
  ASSERT_GT(train.shards.size(), 1u);
  for (size_t i : {0, 1}) {
    ++train.shards[i].num_tokens;
    ++train.num_tokens;
  }
  write_manifest(options_.output, manifest);
  const std::string message = message_of([&] { verify_data(options_.output); });
  EXPECT_THAT(message, HasSubstr("2 defects"));
  EXPECT_THAT(message, HasSubstr("train/shard-00001.h5"));
}

TEST_F(Ingest, VerifyAndInspectNameAPathThatTheFileSystemRefuses) {
  std::filesystem::create_symlink("self", dir_ / "self");
  EXPECT_THAT(message_of([&] { verify_data(dir_ / "self"); }), HasSubstr("self: Too many levels of symbolic links"));
  EXPECT_THAT(message_of([&] { inspect_data(dir_ / "self"); }), HasSubstr("self: Too many levels of symbolic links"));
}

TEST_F(Ingest, RefusesBadOptions) {
  ingest(options_);
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("already holds a dataset"));
  options_.output = dir_ / "other";
  options_.heldout_fraction = 1;
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("[0, 1)"));
  options_.heldout_fraction = 0;
  options_.inputs = {"/nowhere"};
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("/nowhere"));
  EXPECT_FALSE(std::filesystem::exists(options_.output));
}

TEST_F(Ingest, ListsTheJsonLinesThatItLeftOut) {
  write_file(dir_ / "lines" / "a.jsonl", "{\"text\": \"a\"}\n{\"text\": null}\n{\"text\": \"b\"}\n{\n");
  options_.inputs = {(dir_ / "lines").string()};
  options_.heldout_fraction = 0;
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("a.jsonl: line 2: 'text' is null, expected a string"));
  options_.bad_lines = BadData::skip;
  EXPECT_EQ(ingest(options_).split("train").num_samples, 2);
  const std::string list = read_file(options_.output / "bad_samples.jsonl");
  EXPECT_THAT(list, HasSubstr("\"line\":2,\"reason\":\"'text' is null, expected a string\""));
  EXPECT_THAT(list, HasSubstr("\"line\":4,"));

  options_.max_bad_lines = 1;
  options_.output = dir_ / "capped";
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("more than 1 JSON lines cannot be read, the last: "));
  EXPECT_THAT(read_file(options_.output / "bad_samples.jsonl"), HasSubstr("\"line\":2,"));
  EXPECT_FALSE(std::filesystem::exists(options_.output / "dataset.json"));
}

TEST_F(Ingest, DoesNotDependOnHowPathsAreWritten) {
  write_file(dir_ / "in" / "b" / "c.txt", long_text() + "c");
  ingest(options_);
  options_.inputs = {(dir_ / "in" / "." / "b" / ".." / "").string() + "/"};
  options_.output = dir_ / "again";
  ingest(options_);
  for (const char* file : {"dataset.json", "heldout.txt", "train/shard-00000.h5", "heldout/shard-00000.h5"})
    EXPECT_EQ(read_file(dir_ / "out" / file), read_file(dir_ / "again" / file)) << file;
}

// Files that an ingestion did not write stay in place, even if they have names like those of shards or of other files
// of a dataset.
TEST_F(Ingest, RemovesNoFileThatItDidNotMake) {
  write_file(dir_ / "mine" / "train" / "shard-00000.jsonl", "{\"text\": \"of a user\"}\n");
  options_.inputs = {(dir_ / "mine").string()};
  options_.output = dir_ / "mine";
  options_.heldout_fraction = 0;
  for (const std::string name : {"heldout.txt", "bad_samples.jsonl", "train/shard-00000.h5"}) {
    write_file(dir_ / "mine" / name, "of a user");
    for (int attempt = 0; attempt < 2; ++attempt)
      EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr(name + " is in the way"));
    EXPECT_EQ(read_file(dir_ / "mine" / name), "of a user");
    std::filesystem::remove(dir_ / "mine" / name);
  }
  EXPECT_EQ(ingest(options_).split("train").num_samples, 1);
  EXPECT_TRUE(std::filesystem::exists(dir_ / "mine" / "train" / "shard-00000.jsonl"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "mine" / ".ingestion"));
}

TEST_F(Ingest, RefusesALinkInPlaceOfItsClaim) {
  write_file(dir_ / "target", "of a user");
  std::filesystem::create_directory(options_.output);
  std::filesystem::create_symlink(dir_ / "target", options_.output / ".ingestion");
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr(".ingestion is no regular file"));
  EXPECT_EQ(read_file(dir_ / "target"), "of a user");
}

TEST_F(Ingest, RemovesWhatAnUnfinishedIngestionLeft) {
  options_.heldout_fraction = 0.999999;
  options_.split.kind = SplitRule::Kind::whole;
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("went to the held-out split"));
  write_file(dir_ / "out" / "heldout" / "shard-00077.h5", "left");
  options_.heldout_fraction = 0;
  options_.write_heldout_text = false;
  ingest(options_);
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "out" / "heldout"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "out" / "heldout.txt"));
}

// A file that a user put into the folder after an ingestion failed is not a leftover. It may even be the input of the
// next one.
TEST_F(Ingest, RemovesNoFileThatCameAfterAnIngestionThatFailed) {
  write_file(dir_ / "lines" / "a.jsonl", "{}\n");
  options_.inputs = {(dir_ / "lines").string()};
  options_.bad_lines = BadData::skip;
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("holds no text"));
  const auto mine = dir_ / "out" / "heldout.txt", list = dir_ / "out" / "bad_samples.jsonl";
  write_file(mine, long_text());
  options_.inputs = {mine.string()};
  for (int attempt = 0; attempt < 2; ++attempt)
    EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("heldout.txt is in the way"));
  EXPECT_EQ(read_file(mine), long_text());
  EXPECT_TRUE(std::filesystem::exists(list));
  std::filesystem::rename(mine, dir_ / "mine.txt");
  const std::string edited = read_file(list) + "of a user\n";
  write_file(list, edited);
  options_.inputs = {(dir_ / "mine.txt").string()};
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("bad_samples.jsonl is in the way"));
  EXPECT_EQ(read_file(list), edited);
  std::filesystem::remove(list);
  EXPECT_GT(ingest(options_).split("train").num_samples, 0);
}

// The list of bad lines that a failed ingestion wrote is a leftover, and is removed.
TEST_F(Ingest, RemovesTheListOfAFailedIngestion) {
  write_file(dir_ / "lines" / "a.jsonl", "{}\n");
  options_.inputs = {(dir_ / "lines").string()};
  options_.bad_lines = BadData::skip;
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("holds no text"));
  write_file(dir_ / "lines" / "a.jsonl", "{\"text\": \"a\"}\n");
  options_.heldout_fraction = 0;
  ingest(options_);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "out" / "bad_samples.jsonl"));
}

TEST_F(Ingest, RefusesASecondIngestionIntoTheSameFolder) {
  options_.log = [&](const std::string&) {  // called while the first ingestion is running
    IngestOptions second = options_;
    second.log = nullptr;
    EXPECT_THAT(message_of([&] { ingest(second); }), HasSubstr("out is in use by another ingestion"));
  };
  ingest(options_);
  EXPECT_THAT(verify_data(options_.output), HasSubstr("samples are intact"));
}

// The conflict is reported before any text is read, and not when the file is published.
TEST_F(Ingest, NamesFoldersThatAreInTheWayOfItsFiles) {
  for (const char* name : {"heldout.txt", "bad_samples.jsonl", "train/shard-00000.h5"}) {
    std::filesystem::remove_all(dir_ / "out");
    std::filesystem::create_directories(dir_ / "out" / name / "mine");
    EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr(concat(name, " is in the way")));
    EXPECT_TRUE(std::filesystem::exists(dir_ / "out" / name / "mine"));
  }
}

// Whatever the file system refuses, the message names the path and gives the reason.
TEST_F(Ingest, NamesAnOutputThatCannotBeWritten) {
  options_.output = dir_ / "tokenizer.json" / "out";
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("tokenizer.json/out"));
  std::filesystem::create_symlink("nowhere", dir_ / "link");
  options_.output = dir_ / "link" / "out";
  EXPECT_THAT(message_of([&] { ingest(options_); }),
              HasSubstr(concat((dir_ / "link").string(), " is a symbolic link to nothing")));
  const TinyDisk disk("64k");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  options_.output = disk.path() / "out";
  EXPECT_THAT(message_of([&] { ingest(options_); }), HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace birkhoff
