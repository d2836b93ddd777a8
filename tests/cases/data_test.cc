// Inputs of users that once went wrong, through the program. Right values are those of other programs: zstd -dc, grep
// -E, python's json, and `tokenizers` of PyPI.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <unistd.h>
#include <zlib.h>

#include "data/tokenizer/byte_level.h"
#include "tests/support/program.h"
#include "tests/support/temp_dir.h"

namespace birkhoff::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using std::string_literals::operator""s;

std::string gzip(const std::string& text) {
  const TempDir dir;
  gzFile file = gzopen((dir / "a").c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  return read_file(dir / "a");
}

// A tokenizer of the 256 bytes and some merges; the token <|endoftext|> is the last.
json tokenizer_of(const std::string& regex, const std::vector<std::pair<std::string, std::string>>& merges) {
  json vocabulary, list = json::array();
  for (int b = 0; b < 256; ++b) vocabulary[byte_characters()[b]] = b;
  for (const auto& [left, right] : merges) {
    vocabulary[left + right] = vocabulary.size();
    list.push_back(json::array({left, right}));
  }
  const json step = {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const json end = {{"id", vocabulary.size()}, {"content", "<|endoftext|>"}, {"special", true}};
  return {{"added_tokens", json::array({end})},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array({step, byte_level})}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", list}}}};
}

class Cases : public testing::Test {
 protected:
  Cases() { write_file(dir_ / "tokenizer.json", tokenizer_of("\\s+", {}).dump()); }

  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  ProgramResult program(const std::string& arguments) const {
    return run_program("env -C " + path("") + " " + prefix_ + BIRKHOFF_PROGRAM + " " + arguments);
  }
  // Ingests a file into a folder of its own.
  ProgramResult ingest(const std::string& name, const std::string& options = "") {
    const std::string output = "out" + std::to_string(number_++);
    return program("data ingest " + name + " --tokenizer tokenizer.json -o " + output + " " + options);
  }
  std::string encoded(const json& tokenizer, const std::string& text) const {
    write_file(dir_ / "other.json", tokenizer.dump());
    write_file(dir_ / "text", text);
    return program("tokenizer encode --whole other.json < " + path("text")).output;
  }

  TempDir dir_;
  std::string prefix_;
  int number_ = 0;
};

TEST_F(Cases, B01ARegexIsFoundInALongLineAndOneWithoutEndIsRefused) {
  write_file(dir_ / "long.txt", std::string(30000, 'a') + "START OF\n" + std::string(30000, 'b') + " START OF x\n");
  const ProgramResult r = ingest("long.txt", "--split regex --split-regex '.*START OF'");
  EXPECT_EQ(r.exit_code, 0) << r.output;
  EXPECT_THAT(r.output, HasSubstr("train: 2 samples"));
  const ProgramResult endless = ingest("long.txt", "--split regex --split-regex '(a+)+$'");
  EXPECT_EQ(endless.exit_code, 2);
  EXPECT_THAT(endless.output, HasSubstr("long.txt: line 1: the regex (a+)+$ fails"));
}

TEST_F(Cases, B03FilesOfPzstdAreUnpacked) {
  // One skippable frame, then "{"text": "abc"}" and a line end in a frame with a raw block.
  const std::string line = "{\"text\": \"abc\"}\n";
  const std::string block = {static_cast<char>(line.size() << 3 | 1), 0, 0};
  write_file(dir_ / "a.jsonl.zst", "\x50\x2a\x4d\x18\x04\0\0\0\x20\0\0\0"s + "\x28\xb5\x2f\xfd\x20"s +
                                       static_cast<char>(line.size()) + block + line);
  const ProgramResult r = ingest("a.jsonl.zst");
  EXPECT_EQ(r.exit_code, 0) << r.output;
  EXPECT_THAT(r.output, HasSubstr("train: 1 samples, 4 tokens, 3 bytes of text"));
}

TEST_F(Cases, B04JsonLinesAreKnownByAnyOfTheirNames) {
  const std::string lines = "{\"text\": \"abc\", \"url\": \"u\"}\n{\"text\": \"def\", \"url\": \"v\"}\n";
  for (const char* name : {"x.jsonl", "x.ndjson", "X.JSONL"}) write_file(dir_ / name, lines);
  write_file(dir_ / "c4-train.00000-of-00001.json.gz", gzip(lines));
  for (const char* name : {"x.jsonl", "x.ndjson", "X.JSONL", "c4-train.00000-of-00001.json.gz"}) {
    const ProgramResult r = ingest(name);
    EXPECT_EQ(r.exit_code, 0) << r.output;
    EXPECT_THAT(r.output, HasSubstr("train: 2 samples, 8 tokens, 6 bytes of text")) << name;
  }
}

TEST_F(Cases, B05WhatIsNoTextIsRefusedByName) {
  const std::pair<std::string, const char*> contents[] = {{"\xfd"
                                                           "7zXZ\0"s,
                                                           "xz"},
                                                          {"BZh91AY&SY", "bzip2"},
                                                          {"PAR1\0data PAR1"s, "a Parquet file"}};
  for (const auto& [bytes, format] : contents) {
    write_file(dir_ / "a.txt", bytes);
    for (const ProgramResult& r : {ingest("a.txt"), program("tokenizer train a.txt -o trained.json")}) {
      EXPECT_EQ(r.exit_code, 6) << r.output;
      EXPECT_THAT(r.output, AllOf(HasSubstr("a.txt: "), HasSubstr(format)));
    }
  }
}

TEST_F(Cases, B08RepetitionsAreReadAsOnigurumaReadsThem) {
  const std::vector<std::pair<std::string, std::string>> merges = {{"1", "2"}, {"12", "3"}, {"123", "4"},
                                                                   {"5", "6"}, {"a", "b"},  {"x", "a"}};
  EXPECT_EQ(encoded(tokenizer_of("\\p{N}{1,3}+", merges), "1234"), "258\n");
  EXPECT_EQ(encoded(tokenizer_of("a{3}?", merges), "xab"), "120 97 98\n");
  EXPECT_EQ(encoded(tokenizer_of("a{,3}", merges), "xab"), "120 97 98\n");
}

TEST_F(Cases, B09ErrorsOfTheFileSystemNameThePath) {
  std::filesystem::create_symlink("self", dir_ / "self");
  for (const ProgramResult& r : {ingest("self"), program("tokenizer train self -o trained.json")}) {
    EXPECT_EQ(r.exit_code, 6);
    EXPECT_THAT(r.output, HasSubstr("self: cannot look at it: Too many levels of symbolic links"));
  }
  write_file(dir_ / "in/a.txt", "text");
  std::filesystem::create_directory(dir_ / "in/no");
  std::filesystem::permissions(dir_ / "in/no", std::filesystem::perms::none);
  std::filesystem::permissions(dir_.path(), std::filesystem::perms::all);
  if (::geteuid() == 0) prefix_ = "setpriv --reuid=65534 --regid=65534 --clear-groups ";
  if (program("--version").exit_code != 0) GTEST_SKIP() << "the program cannot be run by another user";
  const ProgramResult r = ingest("in");
  EXPECT_EQ(r.exit_code, 6);
  EXPECT_THAT(r.output, HasSubstr("in/no: cannot list this folder: Permission denied"));
  std::filesystem::permissions(dir_ / "in/no", std::filesystem::perms::all);
}

TEST_F(Cases, B11ARunOfSpacesIsOneAddedToken) {
  json tokenizer = tokenizer_of("\\s+", {});
  tokenizer["added_tokens"].push_back(
      {{"id", 257}, {"content", " "}, {"lstrip", true}, {"rstrip", true}, {"normalized", false}});
  EXPECT_EQ(encoded(tokenizer, "a    b"), "97 257 98\n");
}

TEST_F(Cases, B13OnlyTheTextOfAJsonLineIsJudged) {
  write_file(dir_ / "number.jsonl", "{\"text\": \"a\", \"n\": 1e999}\n");
  write_file(dir_ / "nan.jsonl", "{\"text\": \"a\", \"n\": NaN}\n");
  const ProgramResult number = ingest("number.jsonl"), nan = ingest("nan.jsonl");
  EXPECT_EQ(number.exit_code, 0) << number.output;
  EXPECT_THAT(number.output, HasSubstr("train: 1 samples"));
  EXPECT_EQ(nan.exit_code, 6);
  EXPECT_THAT(nan.output, HasSubstr("nan.jsonl: line 1: NaN at byte 20 is not JSON"));
}

TEST_F(Cases, B15OurOwnOutputIsPassedOver) {
  write_file(dir_ / "c/a.txt", "some text\n");
  EXPECT_EQ(program("data ingest c --tokenizer tokenizer.json -o c/data").exit_code, 0);
  const ProgramResult r = program("data ingest c --tokenizer tokenizer.json -o c/data2");
  EXPECT_EQ(r.exit_code, 0);
  EXPECT_THAT(r.output, AllOf(HasSubstr("passed over c/data: it is a dataset"),
                              HasSubstr("train: 1 samples, 11 tokens, 10 bytes of text")));
}

}  // namespace
}  // namespace birkhoff::test
