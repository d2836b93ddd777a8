#include <bit>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "data/hdf5/file.h"
#include "data/shard/format.h"
#include "data/shard/reader.h"
#include "data/shard/shard_set.h"
#include "data/shard/writer.h"
#include "kernels/core/error.h"
#include "kernels/core/philox.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_disk.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const DataError& error) {
    return error.what();
  }
  return "no DataError";
}

Sample text_sample(int32_t first, int32_t count) {
  Sample sample;
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < count; ++i) tokens.push_back(first + i);
  sample.segments.push_back(Segment::text(tokens));
  sample.source_bytes = 3 * count;
  return sample;
}

Sample interleaved_sample() {
  Sample sample;
  sample.segments.push_back(Segment::text({5, 6, 7}, {1, 0, 1}));
  sample.segments.push_back(Segment::opaque({0xff, 0x00, 0x7f, 0x10, 0x20, 0x30}, {1, 2, 3}));
  sample.segments.push_back(Segment::text({8, 9}, {0, 1}));
  sample.source_bytes = 17;
  return sample;
}

void expect_equal(const Sample& a, const Sample& b) {
  EXPECT_EQ(a.source_bytes, b.source_bytes);
  ASSERT_EQ(a.segments.size(), b.segments.size());
  for (size_t i = 0; i < a.segments.size(); ++i) {
    EXPECT_EQ(a.segments[i].modality, b.segments[i].modality);
    EXPECT_EQ(a.segments[i].shape, b.segments[i].shape);
    EXPECT_EQ(a.segments[i].tokens, b.segments[i].tokens);
    EXPECT_EQ(a.segments[i].loss_mask, b.segments[i].loss_mask);
    EXPECT_EQ(a.segments[i].bytes, b.segments[i].bytes);
  }
}

// Writes a dataset with one split "train", whose shards hold at most `max_shard_bytes`.
void write_dataset(const std::filesystem::path& dir, const std::vector<Sample>& samples, int64_t max_shard_bytes) {
  ShardWriter writer(dir / "train", {100, "digest", max_shard_bytes});
  for (const Sample& sample : samples) writer.add(sample);
  write_manifest(dir, {"digest", 100, 0, 0, {{"train", writer.finish()}}});
}

TEST(Shard, GivesBackATextOpaqueTextSampleIntact) {
  const TempDir dir;
  write_dataset(dir.path(), {text_sample(1, 4), interleaved_sample(), text_sample(2, 1)}, 1 << 20);
  ShardReader reader(dir / "train" / "shard-00000.h5");
  ASSERT_EQ(reader.num_samples(), 3);
  EXPECT_EQ(reader.num_tokens(1), 5);
  expect_equal(reader.read(1), interleaved_sample());
  expect_equal(reader.read(0), text_sample(1, 4));
}

TEST(Shard, ATextOnlyRunRefusesAnotherModalityByName) {
  const TempDir dir;
  write_dataset(dir.path(), {text_sample(1, 4), interleaved_sample()}, 1 << 20);
  ShardSet set(dir.path(), "train");
  EXPECT_EQ(set.read_text(0).tokens.size(), 4u);
  EXPECT_THAT(message_of([&] { set.read_text(1); }),
              AllOf(HasSubstr("shard-00000.h5: sample 1, segment 1"), HasSubstr("'opaque'")));
}

TEST(Shard, WriterRefusesSamplesThatContradictThemselves) {
  const TempDir dir;
  ShardWriter writer(dir.path(), {100, "digest"});
  writer.add(text_sample(99, 1));
  const auto complaint = [&](Segment segment) {
    Sample sample;
    sample.segments.push_back(std::move(segment));
    return message_of([&] { writer.add(sample); });
  };
  EXPECT_THAT(complaint(Segment::text({1, 100})), HasSubstr("sample 1, segment 0: token id 100 at position 1"));
  EXPECT_THAT(complaint(Segment::text({-1})), HasSubstr("token id -1"));
  EXPECT_THAT(complaint(Segment::text({1, 2}, {1})), HasSubstr("loss mask"));
  EXPECT_THAT(complaint(Segment::opaque({1}, {1, 1, 1, 1, 1})), HasSubstr("more than 4 dims"));
  EXPECT_THAT(message_of([&] { writer.add({}); }), HasSubstr("no segments"));
}

TEST(Shard, LimitsBytesPerShardAndNumbersSamplesThroughAll) {
  const TempDir dir;
  std::vector<Sample> samples;
  for (int32_t i = 0; i < 20; ++i) samples.push_back(text_sample(i, i == 7 ? 60 : 10));
  write_dataset(dir.path(), samples, 400);
  ShardSet set(dir.path(), "train", 2);
  const SplitManifest& split = set.manifest().split("train");
  EXPECT_EQ(split.num_samples, 20);
  EXPECT_EQ(split.num_tokens, 250);
  EXPECT_EQ(split.source_bytes, 750);
  EXPECT_GT(split.shards.size(), 6u);
  for (const int64_t id : {7, 0, 19, 3, 12, 7, 1, 18}) {
    EXPECT_EQ(set.num_tokens(id), id == 7 ? 60 : 10);
    expect_equal(set.read(id), samples[static_cast<size_t>(id)]);
  }
}

TEST(Shard, ManyShardsNeedFewOpenFiles) {
  const TempDir dir;
  std::vector<Sample> samples;
  for (int32_t i = 0; i < 24; ++i) samples.push_back(text_sample(i, 10));
  write_dataset(dir.path(), samples, 1);
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  ShardSet set(dir.path(), "train", 4);
  const auto before = open_files();
  for (int64_t i = 0; i < 24; ++i) EXPECT_EQ(set.read_text(i).tokens[0], i);
  EXPECT_LE(open_files() - before, 4);
}

class DamagedShard : public testing::Test {
 protected:
  DamagedShard() : path_(dir_ / "train" / "s.h5") {
    std::filesystem::create_directories(path_.parent_path());
    write_shard(path_, {kShardVersion, 100, "digest"}, samples());
  }
  static std::vector<Sample> samples() { return {text_sample(1, 30), interleaved_sample(), text_sample(40, 30)}; }
  std::string complaint() const {
    return message_of([&] {
      ShardReader reader(path_);
      for (int64_t i = 0; i < reader.num_samples(); ++i) reader.read(i);
    });
  }
  void flip(int64_t offset) const {
    std::string bytes = read_file(path_);
    bytes[static_cast<size_t>(offset)] ^= 4;
    write_file(path_, bytes);
  }
  TempDir dir_;
  std::filesystem::path path_;
};

TEST_F(DamagedShard, EveryDefectHasItsOwnMessage) {
  EXPECT_EQ(complaint(), "no DataError");
  const std::string good = read_file(path_);
  write_file(path_, good.substr(0, good.size() / 2));
  EXPECT_THAT(complaint(), HasSubstr(concat("s.h5: truncated: expected ", good.size())));
  write_file(path_, good + "?");
  EXPECT_THAT(complaint(), HasSubstr("s.h5: wrong size"));
  write_file(path_, "%PDF" + good.substr(4));
  EXPECT_THAT(complaint(), HasSubstr("s.h5: not an HDF5 file"));
  std::filesystem::remove(path_);
  EXPECT_THAT(complaint(), HasSubstr("s.h5: no such file"));
}

TEST_F(DamagedShard, WrongVersionFormatAndEmptinessAreDistinguished) {
  write_shard(path_, {2, 100, "digest"}, samples());
  EXPECT_THAT(complaint(), HasSubstr("s.h5: expected shard version 1, found version 2"));
  write_shard(path_, {kShardVersion, 100, "digest"}, {});
  EXPECT_THAT(complaint(), HasSubstr("s.h5: the shard holds no samples"));
  H5File::create(path_).close();
  EXPECT_THAT(complaint(), HasSubstr("s.h5: not a shard: expected birkhoff.shard"));
}

TEST_F(DamagedShard, ATokenOutsideTheVocabularyIsNamed) {
  write_shard(path_, {kShardVersion, 60, "digest"}, samples());
  EXPECT_THAT(complaint(), HasSubstr("s.h5: sample 2: token id 60 at position 20 is outside the vocabulary of 60"));
}

TEST_F(DamagedShard, AFlippedBitOfThePayloadNamesItsSample) {
  const H5Dataset tokens = H5File::open(path_).root().dataset("tokens");
  flip(tokens.offset + 4 * 40);
  EXPECT_THAT(complaint(), HasSubstr("s.h5: sample 2: checksum: expected "));
}

TEST_F(DamagedShard, AFlippedBitOfTheIndexIsCaughtAtOpen) {
  const H5Dataset segments = H5File::open(path_).root().dataset("segments");
  flip(segments.offset + 8);
  EXPECT_THAT(complaint(), HasSubstr("s.h5: index checksum: expected "));
}

TEST_F(DamagedShard, ManifestAndShardThatDisagreeAreRefused) {
  write_manifest(dir_.path(), {"digest", 100, 0, 0, {{"train", {4, 0, 0, {{"s.h5", 4, 0, 0}}}}}});
  EXPECT_THAT(message_of([&] { ShardSet(dir_.path(), "train").read(0); }),
              HasSubstr("counts 4 samples, the shard has 3"));
  write_manifest(dir_.path(), {"other", 100, 0, 0, {{"train", {3, 65, 0, {{"s.h5", 3, 65, 0}}}}}});
  EXPECT_THAT(message_of([&] { ShardSet(dir_.path(), "train").read(0); }), HasSubstr("expected other, found digest"));
}

// A single flipped bit anywhere is either detected or harmless: the samples that are read are still correct.
TEST_F(DamagedShard, NoFlippedBitGivesWrongData) {
  const std::string good = read_file(path_);
  const Philox random(7, 1);
  int refused = 0;
  constexpr int kTrials = 150;
  for (uint64_t trial = 0; trial < kTrials; ++trial) {
    std::string bytes = good;
    bytes[random.below(2 * trial, bytes.size())] ^= static_cast<char>(1 << random.below(2 * trial + 1, 8));
    write_file(path_, bytes);
    try {
      ShardReader reader(path_);
      for (int64_t i = 0; i < 3; ++i) expect_equal(reader.read(i), samples()[static_cast<size_t>(i)]);
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, kTrials / 4);
}

TEST(Manifest, SaysWhatIsWrongWithIt) {
  const TempDir dir;
  const auto complaint = [&] { return message_of([&] { read_manifest(dir.path()); }); };
  EXPECT_THAT(complaint(), HasSubstr("dataset.json: no such file"));
  write_file(dir / "dataset.json", "{");
  EXPECT_THAT(complaint(), HasSubstr("dataset.json: damaged"));
  write_file(dir / "dataset.json", R"({"format": "x"})");
  EXPECT_THAT(complaint(), HasSubstr("format is \"x\", expected 'birkhoff.dataset'"));
  write_file(dir / "dataset.json", R"({"format": "birkhoff.dataset", "version": 9})");
  EXPECT_THAT(complaint(), HasSubstr("expected version 1, found version 9"));
  DatasetManifest negative{"d", 10, 1, 2, {}};
  negative.splits["train"].append({"shard-00000.h5", 3, -1, 8});
  write_manifest(dir.path(), negative);
  EXPECT_THAT(complaint(), HasSubstr("shards[0].tokens is -1, expected a whole number from 0"));
  write_manifest(dir.path(), {"d", 0, 0, 0, {}});
  EXPECT_THAT(complaint(), HasSubstr("vocab_size is 0, expected a whole number from 1"));
  write_manifest(dir.path(), {"d", 10, 1, 2, {}});
  EXPECT_THAT(complaint(), HasSubstr("splits is {}, expected at least one split"));
  DatasetManifest twice{"d", 10, 1, 2, {}};
  for (int i = 0; i < 2; ++i) twice.splits["train"].append({"shard-00000.h5", 3, 4, 8});
  write_manifest(dir.path(), twice);
  EXPECT_THAT(complaint(), HasSubstr("shards[1].file is \"shard-00000.h5\", expected a file that no shard before"));
  write_manifest(dir.path(), {"d", 10, 1, 2, {{"train", {}}}});
  EXPECT_THAT(message_of([&] { read_manifest(dir.path()).split("eval"); }), HasSubstr("no split 'eval'; it has train"));
  EXPECT_EQ(read_manifest(dir.path()).end_token, 2);
}

// The disk is full after 0, 1, 2, ... pages. Had HDF5 itself met the full disk, it would crash when the process exits.
TEST(Shard, ThatDoesNotFitTheDiskIsAnErrorAndNoMore) {
  const TinyDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  for (int pages = 0; pages < 6; ++pages) {
    ASSERT_TRUE(disk.leave(pages));
    const std::string message = message_of([&] {
      write_shard(disk.path() / "a.h5", {kShardVersion, 10000, "digest"}, {text_sample(0, 5000)});
    });
    EXPECT_THAT(message, HasSubstr("No space left on device")) << pages;
  }
}

// After a failed write, HDF5 would crash when the process exits.
TEST(Shard, ThatIsLargerThanTheProcessMayWriteIsRefusedBeforehand) {
  const TempDir dir;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{8192, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = message_of([&] {
    write_shard(dir / "a.h5", {kShardVersion, 10, "digest"}, {text_sample(0, 9)});
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(message, AllOf(HasSubstr("a.h5"), HasSubstr("the limit of this process, 8192 bytes (ulimit -f)")));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace birkhoff
