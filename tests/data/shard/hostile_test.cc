// Guarantees of the readers of dataset.json and shards: names stay within their folder, numbers within their range,
// edits are noticed, memory is bounded by the size of the file, and every defect is reported.
#include <bit>
#include <functional>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "data/hdf5/bulk_file.h"
#include "data/ingest/commands.h"
#include "data/json/json.h"
#include "data/shard/format.h"
#include "data/shard/reader.h"
#include "data/shard/shard_set.h"
#include "kernels/core/error.h"
#include "tests/support/datasets.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const DataError& error) {
    return error.what();
  }
  return "no DataError";
}

class HostileDataset : public testing::Test {
 protected:
  HostileDataset() {
    write_test_dataset(dir_.path(), "train", test_documents(0, 90));
    good_ = read_file(path());
  }
  std::filesystem::path path() const { return dir_ / "dataset.json"; }
  std::filesystem::path shard(int i) const { return dir_ / "train" / concat("shard-0000", i, ".h5"); }
  std::string refusal() const {
    const std::string message = message_of([&] { read_manifest(dir_.path()); });
    EXPECT_EQ(message_of([&] { ShardSet(dir_.path(), "train"); }), message);
    EXPECT_EQ(message_of([&] { inspect_data(dir_.path()); }), message);
    const std::string verified = message_of([&] { verify_data(dir_.path()); });
    std::istringstream lines(message);
    for (std::string line; std::getline(lines, line);) {
      if (line.ends_with(" defects:")) continue;
      EXPECT_THAT(verified, HasSubstr(line)) << "beside what it says of the shards";
    }
    return message;
  }
  // Writes dataset.json with a change and a matching checksum.
  void edit(const std::function<void(Json& json)>& change) const {
    Json json = parse_json(good_, "d");
    json.erase("xxh3");
    change(json);
    json["xxh3"] = json_checksum(json);
    write_file(path(), json.dump());
  }
  static void damage_tokens(const std::filesystem::path& shard) {
    const H5Dataset tokens = H5File::open(shard).root().dataset("tokens");
    std::string bytes = read_file(shard);
    bytes[static_cast<size_t>(tokens.offset)] ^= 1;
    write_file(shard, bytes);
  }
  const TempDir dir_;
  std::string good_;
};

TEST_F(HostileDataset, WhatDecidesTheMeaningOfTokensCannotBeEditedUnnoticed) {
  for (const auto& [from, to] : {std::pair{"\"begin_token\": 1", "\"begin_token\": 3"},
                                 {"\"end_token\": 2", "\"end_token\": 3"},
                                 {"\"vocab_size\": 1000000", "\"vocab_size\": 1000001"},
                                 {"\"tokenizer_digest\": \"digest\"", "\"tokenizer_digest\": \"digits\""}}) {
    std::string text = good_;
    const size_t at = text.find(from);
    ASSERT_NE(at, text.npos) << from;
    write_file(path(), text.replace(at, std::string(from).size(), to));
    EXPECT_THAT(refusal(), AllOf(HasSubstr("dataset.json: its checksum is "), HasSubstr("it was edited or damaged")));
  }
  // A different layout of the same JSON does not count as an edit.
  write_file(path(), parse_json(good_, "d").dump());
  EXPECT_EQ(refusal(), "no DataError");
}

TEST_F(HostileDataset, ADatasetOfAnOlderProgramWithoutChecksumsIsRead) {
  Json json = parse_json(good_, "d");
  json.erase("xxh3");
  for (Json& entry : json["splits"]["train"]["shards"]) entry.erase("index_checksum");
  const uint64_t content = ShardSet(dir_.path(), "train").content_digest();
  write_file(path(), json.dump(1));
  EXPECT_EQ(refusal(), "no DataError");
  EXPECT_EQ(ShardSet(dir_.path(), "train").content_digest(), content);  // read from the shards themselves
}

TEST_F(HostileDataset, EveryNumberAndNameIsCheckedForTypeSignAndRange) {
  const std::string entry = "/splits/train/shards/0";
  struct Case {
    std::string pointer;
    Json value;
    const char* expected;
  };
  const std::vector<Case> cases{
      {"/format", 7, "format is 7, expected a string"},
      {"/version", 1.0, "version is 1.0, expected a whole number"},
      {"/version", 2, "expected version 1, found version 2"},
      {"/vocab_size", -5, "vocab_size is -5, expected a whole number from 1"},
      {"/vocab_size", int64_t{1} << 40, "vocab_size is 1099511627776, expected a whole number from 1"},
      {"/begin_token", true, "begin_token is true, expected a whole number"},
      {"/end_token", 1000000, "end_token is 1000000, expected one of its vocabulary of 1000000"},
      {"/tokenizer_digest", nullptr, "tokenizer_digest is null, expected a string"},
      {"/splits", Json::array(), "splits is [], expected an object"},
      {"/splits/..~1up", {{"shards", Json::array()}}, "\"../up\" is no name of a split, which is that of a folder"},
      {"/splits/a\x1b[2J\n", {{"shards", Json::array()}}, "\"a\\u001b[2J\\n\" is no name of a split"},
      {entry, nullptr, "shards[0] is null, expected an object"},
      {entry + "/file", "../train/shard-00000.h5", "shards[0].file is \"../train/shard-00000.h5\", expected the plain"},
      {entry + "/file", "/etc/passwd", "expected the plain name of a file"},
      {entry + "/samples", -1, "shards[0].samples is -1, expected a whole number"},
      {entry + "/tokens", UINT64_MAX, "shards[0].tokens is 18446744073709551615, expected a whole number"},
      {entry + "/samples", INT64_MAX, "shards[1].samples is"},  // the sum with shards[0] overflows
      {entry + "/source_bytes", 1e3, "shards[0].source_bytes is 1000.0, expected a whole number"},
      {entry + "/index_checksum", "12", "shards[0].index_checksum is \"12\", expected 16 hexadecimal digits"},
      {"/splits/train/tokens", 1, "the totals of a split are not the sums over its shards"},
  };
  for (const Case& c : cases) {
    edit([&](Json& json) { json[Json::json_pointer(c.pointer)] = c.value; });
    EXPECT_THAT(refusal(), AllOf(HasSubstr("dataset.json: "), HasSubstr(c.expected))) << c.pointer;
  }
}

TEST_F(HostileDataset, EveryWrongValueIsReported) {
  Json json = parse_json(good_, "d");
  json.erase("format");
  json["version"] = "1";
  json["vocab_size"] = 0;
  json["begin_token"] = -3;
  json["tokenizer_digest"] = 5;
  Json& shards = json["splits"]["train"]["shards"];
  shards[0]["file"] = "..";
  shards[0]["tokens"] = -1;
  shards[1]["samples"] = "7";
  json["splits"]["other"] = {{"samples", -1}, {"tokens", 0}, {"source_bytes", 0}};
  write_file(path(), json.dump());  // with the checksum of the unedited file
  const std::string said = refusal();
  EXPECT_THAT(said, HasSubstr("dataset.json: 11 defects:\n"));
  for (const char* expected :
       {"has no 'format'", "version is \"1\"", "its checksum is ", "vocab_size is 0", "begin_token is -3",
        "tokenizer_digest is 5", "shards[0].file is \"..\"", "shards[0].tokens is -1", "shards[1].samples is \"7\"",
        "splits.other has no 'shards'", "splits.other.samples is -1"}) {
    EXPECT_THAT(said, HasSubstr(expected));
  }
  EXPECT_THAT(said, Not(HasSubstr("totals"))) << "which follows from what was told";
  // Shards that are still described well enough are read nevertheless.
  std::filesystem::remove(shard(3));
  EXPECT_THAT(
      message_of([&] { verify_data(dir_.path()); }),
      AllOf(HasSubstr(": 12 defects; "), HasSubstr("shard-00003.h5: no such file"), Not(HasSubstr("shard-00002.h5"))));
}

// Shards are read and compared with whatever dataset.json says correctly about them, even if other values in it are
// defective.
TEST_F(HostileDataset, ShardsAreComparedAndReadDespiteADefect) {
  edit([](Json& json) {
    Json& shards = json["splits"]["train"]["shards"];
    shards[0]["samples"] = -1;
    shards[1]["index_checksum"] = "0123456789abcdef";
    json["end_token"] = -1;
  });
  damage_tokens(shard(0));
  EXPECT_THAT(message_of([&] { verify_data(dir_.path()); }),
              AllOf(HasSubstr(": 4 defects; "), HasSubstr("shards[0].samples is -1"), HasSubstr("end_token is -1"),
                    HasSubstr("shard-00000.h5: sample 0: checksum"), HasSubstr("shard-00001.h5: is not the shard")));
}

TEST_F(HostileDataset, ControlCharactersAreShownByNumber) {
  edit([](Json& json) { json["splits"]["a\u0085b"] = json["splits"]["train"]; });
  EXPECT_THAT(refusal(), HasSubstr("\"a\\u0085b\" is no name of a split"));
}

TEST_F(HostileDataset, DeepNestingAndKeysGivenTwiceAreRefused) {
  const std::string open(100000, '['), close(100000, ']');
  for (const std::string& text : {open, open + close, "{\"format\": " + open + close + "}"}) {
    write_file(path(), text);
    EXPECT_THAT(refusal(), HasSubstr("nested deeper than 100 levels"));
  }
  std::string text = good_;
  write_file(path(), text.insert(1, "\"vocab_size\": 5,"));
  EXPECT_THAT(refusal(), HasSubstr("has the key 'vocab_size' twice"));
}

TEST_F(HostileDataset, ReadingEndsWhateverKindOfFileANameLeadsTo) {
  for (const auto& file : {path(), shard(0)}) {
    const auto said = [&] {
      return message_of([&] {
        ShardSet set(dir_.path(), "train");
        set.read(0);
      });
    };
    const auto kept = dir_ / "kept";
    std::filesystem::rename(file, kept);
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
    EXPECT_THAT(said(), HasSubstr(file.string() + ": is a pipe, expected a regular file"));
    EXPECT_THAT(message_of([&] { verify_data(dir_.path()); }), HasSubstr("is a pipe"));
    std::filesystem::remove(file);
    std::filesystem::create_directory(file);
    EXPECT_THAT(said(), HasSubstr(file.string() + ": is a folder, expected a regular file"));
    std::filesystem::remove(file);
    std::filesystem::create_symlink("/dev/zero", file);
    EXPECT_THAT(said(), HasSubstr(file.string() + ": is a device, expected a regular file"));
    std::filesystem::remove(file);
    std::filesystem::create_symlink(kept, file);
    EXPECT_EQ(said(), "no DataError");
    std::filesystem::remove(file);
    std::filesystem::rename(kept, file);
  }
}

TEST_F(HostileDataset, AnotherShardWithEqualCountsIsNoticed) {
  // The same documents in reverse order: all totals are equal.
  const TempDir other;
  auto documents = test_documents(0, 90);
  std::reverse(documents.begin(), documents.end());
  write_test_dataset(other.path(), "train", documents, 1 << 20);
  write_test_dataset(dir_ / "one", "train", test_documents(0, 90), 1 << 20);
  const auto target = dir_ / "one" / "train" / "shard-00000.h5";
  std::filesystem::copy_file(other / "train" / "shard-00000.h5", target,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(message_of([&] { ShardSet(dir_ / "one", "train").read(0); }),
              HasSubstr("is not the shard that dataset.json describes: expected the index checksum"));
}

TEST_F(HostileDataset, VerifyListsEveryDefect) {
  std::filesystem::copy_file(shard(2), shard(0), std::filesystem::copy_options::overwrite_existing);
  std::filesystem::remove(shard(1));
  damage_tokens(shard(3));
  EXPECT_THAT(message_of([&] { verify_data(dir_.path()); }),
              AllOf(HasSubstr("shard-00000.h5: dataset.json counts "), HasSubstr("shard-00001.h5: no such file"),
                    HasSubstr("shard-00000.h5: is not the shard that dataset.json describes"),
                    HasSubstr("shard-00003.h5: sample 0: checksum"), Not(HasSubstr("shard-00002.h5"))));
}

// Writes a shard with the tables of the test and a matching checksum.
class HostileShard : public testing::Test {
 protected:
  static constexpr int64_t kTokens = 1000, kBytes = 100;
  std::string refusal(std::vector<SampleRow> samples, const std::vector<SegmentRow>& segments) const {
    const auto path = dir_ / "s.h5";
    H5File file = H5File::create(path);
    const H5Group root = file.root();
    root.set("format", std::string(kShardFormat));
    root.set("version", kShardVersion);
    root.set("vocab_size", int64_t{100});
    root.set("tokenizer_digest", std::string("d"));
    root.set("index_checksum", std::bit_cast<int64_t>(index_checksum_of(samples, segments)));
    const auto size = [](const auto& rows) { return static_cast<int64_t>(rows.size()); };
    const BulkFile out = BulkFile::open_to_write(path);
    const H5Dataset s = root.create_dataset("samples", DType::i64, {size(samples), kSampleColumns}),
                    g = root.create_dataset("segments", DType::i64, {size(segments), kSegmentColumns});
    root.create_dataset("tokens", DType::i32, {kTokens});
    root.create_dataset("loss_mask", DType::u8, {kTokens});
    root.create_dataset("bytes", DType::u8, {kBytes});
    out.write(s, 0, s.shape.count(), samples.data());
    out.write(g, 0, g.shape.count(), segments.data());
    file.close();
    return message_of([&] { ShardReader reader(path); });
  }
  const TempDir dir_;
};

TEST_F(HostileShard, TablesThatContradictTheShardAreRefusedWhenItIsOpened) {
  const SegmentRow text{0, 0, 10, 1, {10}}, opaque{1, 0, 5, 1, {5}};
  EXPECT_EQ(refusal({{0, 2, 10, 7, 0}}, {text, opaque}), "no DataError");
  EXPECT_THAT(refusal({{0, 1, 10, 7, 0}, {1, 2, 10, 7, 0}}, {text, opaque}),
              HasSubstr("s.h5: sample 1: segments 1 + 2 lie outside the 2 there are"));
  EXPECT_THAT(refusal({{-1, 1, 10, 7, 0}}, {text}), HasSubstr("segments -1 + 1 lie outside"));
  EXPECT_THAT(refusal({{0, 1, 11, 7, 0}}, {text}), HasSubstr("expected 11 tokens, found 10"));
  EXPECT_THAT(refusal({{0, 1, -10, 7, 0}}, {text}), HasSubstr("-10 tokens"));
  EXPECT_THAT(refusal({{0, 1, 10, -7, 0}}, {text}), HasSubstr("-7 bytes of raw text"));
  EXPECT_THAT(refusal({{0, 1, 10, INT64_MAX, 0}, {0, 1, 10, 1, 0}}, {text}), HasSubstr("sample 1: 1 bytes of raw"));
  EXPECT_THAT(refusal({{0, 1, 10, 7, 0}}, {{0, 991, 10, 1, {10}}}), HasSubstr("payload elements 991 + 10 lie outside"));
  EXPECT_THAT(refusal({{0, 1, 0, 7, 0}}, {{1, INT64_MAX, INT64_MAX, 1, {5}}}), HasSubstr("payload elements"));
  EXPECT_THAT(refusal({{0, 1, 0, 7, 0}}, {{1, 0, 101, 1, {5}}}), HasSubstr("lie outside the 100 there are"));
  EXPECT_THAT(refusal({{0, 1, 0, 7, 0}}, {{2, 0, 5, 1, {5}}}), HasSubstr("a segment of modality 2, expected 0 (text)"));
  EXPECT_THAT(refusal({{0, 1, 0, 7, 0}}, {{1, 0, 5, 5, {5}}}), HasSubstr("a segment of rank 5"));
  EXPECT_THAT(refusal({{0, 1, 0, 7, 0}}, {{1, 0, 5, 1, {-5}}}), HasSubstr("a segment with a dim of -5"));
}

TEST_F(HostileShard, EverySampleThatContradictsTheShardIsReported) {
  const std::string said = refusal({{-1, 1, 10, 7, 0}, {0, 1, 10, 7, 0}, {1, 1, 11, 7, 0}},
                                   {SegmentRow{0, 0, 10, 1, {10}}, SegmentRow{0, 10, 10, 1, {10}}});
  EXPECT_THAT(said, AllOf(HasSubstr("s.h5: 2 defects:\n"), HasSubstr("s.h5: sample 0: segments -1 + 1 lie outside"),
                          HasSubstr("s.h5: sample 2: index and data disagree"), Not(HasSubstr("sample 1"))));
}

// 200 segments that each span the whole pool would need 200 times as much memory as the file has bytes.
TEST_F(HostileShard, SegmentsThatSharePayloadAreRefused) {
  const std::vector<SegmentRow> segments(200, SegmentRow{0, 0, kTokens, 1, {kTokens}});
  EXPECT_THAT(refusal({{0, 200, 200 * kTokens, 7, 0}}, segments), HasSubstr("its segments share payload"));
}

// Otherwise a small shard could take hours to read, in time proportional to samples times segments, or samples times
// tokens.
TEST_F(HostileShard, SamplesThatShareSegmentsOrPayloadAreRefused) {
  const SegmentRow text{0, 0, 600, 1, {600}}, opaque{1, 0, 60, 1, {60}};
  EXPECT_THAT(refusal({{0, 1, 600, 7, 0}, {0, 1, 600, 7, 0}}, {text}),
              HasSubstr("sample 1: it shares segments with samples before it"));
  EXPECT_THAT(refusal({{0, 1, 600, 7, 0}, {1, 1, 600, 7, 0}}, {text, text}),
              HasSubstr("sample 1: it shares payload with samples before it"));
  EXPECT_THAT(refusal({{0, 1, 0, 7, 0}, {1, 1, 0, 7, 0}}, {opaque, opaque}),
              HasSubstr("sample 1: it shares payload with samples before it"));
  const std::vector<SegmentRow> empty(2000, SegmentRow{1, 0, 0, 1, {0}});
  EXPECT_THAT(refusal(std::vector<SampleRow>(2000, SampleRow{0, 2000, 0, 1, 0}), empty), HasSubstr("1999 defects"));
}

}  // namespace
}  // namespace birkhoff
