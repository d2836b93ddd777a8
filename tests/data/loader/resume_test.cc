// A cursor resumes only with the documents that it was created from.
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/json/json.h"
#include "data/loader/loader.h"
#include "data/loader/sources.h"
#include "kernels/core/error.h"
#include "tests/support/datasets.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ResumeTest : public testing::Test {
 protected:
  static constexpr StepShape kShape{4, 1, 16};
  using Documents = std::vector<std::vector<int32_t>>;

  ResumeTest() {
    write(test_documents(0, 90));
    options_.sources = {{"data", dir_ / "data", 1}};
    options_.vocab_size = kTestVocab;
    options_.prefetch_steps = 0;
  }
  void write(const Documents& documents) const {
    std::filesystem::remove_all(dir_ / "data");
    write_test_dataset(dir_ / "data", "train", documents);
  }
  // Removes the checksums from dataset.json, as if a program from before them had written it.
  void make_old() const {
    const auto path = dir_ / "data" / "dataset.json";
    Json json = parse_json(read_file(path), "d");
    json.erase("xxh3");
    for (Json& entry : json["splits"]["train"]["shards"]) entry.erase("index_checksum");
    write_file(path, json.dump());
  }
  Cursor cursor_after(int steps) const {
    Loader loader(options_);
    for (int i = 0; i < steps; ++i) loader.next(kShape);
    return parse_cursor(to_string(loader.cursor()));
  }
  std::string refusal(const Cursor& cursor) const {
    try {
      Loader loader(options_, cursor);
      loader.next(kShape);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  TempDir dir_;
  LoaderOptions options_;
};

TEST_F(ResumeTest, DocumentsInAnotherOrderOrOfOtherContentAreRefused) {
  const Cursor cursor = cursor_after(3);
  Documents documents = test_documents(0, 90);
  std::swap(documents[3], documents[4]);
  write(documents);
  EXPECT_THAT(refusal(cursor), AllOf(HasSubstr("are not those that the run read before, or lie in another order"),
                                     HasSubstr("data.mixture_change")));
  documents = test_documents(0, 90);
  documents[50][2] += 1;
  write(documents);
  EXPECT_THAT(refusal(cursor), HasSubstr("are not those that the run read before"));
  options_.mixture_change = MixtureChange::restart;
  EXPECT_EQ(refusal(cursor), "accepted");
  options_.mixture_change = MixtureChange::refuse;
  write(test_documents(0, 90));
  EXPECT_EQ(refusal(cursor), "accepted");
}

// The begin token is the first input of each document, but the shards do not contain it.
TEST_F(ResumeTest, AnotherBeginTokenIsRefused) {
  const Cursor cursor = cursor_after(3);
  make_old();  // so that no checksum of dataset.json reveals the edit
  EXPECT_EQ(refusal(cursor), "accepted");
  const auto path = dir_ / "data" / "dataset.json";
  Json json = parse_json(read_file(path), "d");
  json["begin_token"] = json["begin_token"].get<int>() + 1;
  write_file(path, json.dump());
  EXPECT_THAT(refusal(cursor), HasSubstr("are not those that the run read before"));
}

TEST_F(ResumeTest, TheDigestOfADatasetWithoutChecksumsIsThatOfItsShards) {
  const Cursor cursor = cursor_after(3);
  make_old();
  EXPECT_EQ(cursor_after(3), cursor);
  EXPECT_EQ(refusal(cursor), "accepted");
  Documents documents = test_documents(0, 90);
  std::swap(documents[3], documents[4]);
  write(documents);
  make_old();
  EXPECT_THAT(refusal(cursor), HasSubstr("are not those that the run read before"));
}

TEST_F(ResumeTest, ACursorOfAnOlderProgramIsJudgedByTheOrderAndSaysSo) {
  Cursor old = cursor_after(3);
  old.content_digest = 0;
  old = parse_cursor(to_string(old));
  EXPECT_EQ(old.content_digest, 0u);
  Loader loader(options_, old);
  EXPECT_THAT(loader.notice(), HasSubstr("of an older program"));
  EXPECT_NE(loader.cursor().content_digest, 0u);
  EXPECT_EQ(Loader(options_, loader.cursor()).notice(), "");
  EXPECT_EQ(Loader(options_).notice(), "");
  options_.seed += 1;
  EXPECT_THAT(refusal(old), HasSubstr("belongs to another seed, mixture or dataset"));
}

// With only the checks of the older program, the stream ran past the end of the document.
TEST_F(ResumeTest, AnInputThatTheDocumentDoesNotHaveIsRefused) {
  Cursor cursor = cursor_after(3);
  cursor.content_digest = 0;
  cursor.sources[0].offset = 1000;
  EXPECT_THAT(refusal(cursor), HasSubstr("stands at input 1000 of a document that is shorter"));
}

TEST_F(ResumeTest, EveryNumberOfACursorIsChecked) {
  const Json good = parse_json(to_string(cursor_after(1)), "c");
  struct Case {
    const char* pointer;
    Json value;
    const char* expected;
  };
  const std::vector<Case> cases{{"/v", 2, "expected version 1, found 2"},
                                {"/v", "1", "v is \"1\", expected a whole number"},
                                {"/order", "zz", "expected 16 hexadecimal digits"},
                                {"/content", 1, "content is 1, expected a string"},
                                {"/sequences", -1, "sequences is -1"},
                                {"/tokens", INT64_MAX, "expected a whole number from 0 to 4503599627370496"},
                                {"/mixture_start", 0.5, "mixture_start is 0.5"},
                                {"/sources", 3, "expected an array"},
                                {"/sources/0", Json::array({1}), "expected 5 numbers"},
                                {"/sources/0/0", int64_t{1} << 32, "sources[0][0] is 4294967296"},
                                {"/sources/0/1", -1, "sources[0][1] is -1"},
                                {"/sources/0/3", nullptr, "sources[0][3] is null"}};
  for (const Case& c : cases) {
    Json json = good;
    json[Json::json_pointer(c.pointer)] = c.value;
    try {
      parse_cursor(json.dump());
      ADD_FAILURE() << c.pointer;
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("data cursor: "), HasSubstr(c.expected)));
    }
  }
  EXPECT_THROW(parse_cursor(std::string(100000, '[')), DataError);
}

TEST_F(ResumeTest, TheNameOfASourceDoesNotDependOnHowItsPathIsWritten) {
  const auto here = std::filesystem::current_path();
  for (const std::filesystem::path path :
       {"data", "data/", "./data", "data/.", "other/../data", "./other/..//data//", "x/../y/../data/"}) {
    EXPECT_EQ(source_name(path), "data") << path;
    EXPECT_EQ(source_name(here / path), "data") << path;
  }
  EXPECT_EQ(source_name("."), here.filename());
  EXPECT_EQ(source_name("/"), "/");
}

// The order of the samples depends on the name, so a run that an older program began keeps its name.
TEST_F(ResumeTest, ARunThatBeganWithAnEmptyNameKeepsIt) {
  for (const char* old : {"", "."}) {
    options_.sources[0].name = old;
    const Cursor cursor = cursor_after(3);
    Loader before(options_, cursor);
    options_.sources[0].name = source_name(options_.sources[0].directory);
    Loader after(options_, cursor);
    EXPECT_EQ(after.next(kShape).microbatches[0].tokens, before.next(kShape).microbatches[0].tokens);
    EXPECT_EQ(after.cursor(), before.cursor());
    EXPECT_NE(Loader(options_).next(kShape).microbatches[0].tokens, before.next(kShape).microbatches[0].tokens);
  }
  const Cursor named = cursor_after(3);
  options_.sources[0].name = "other";
  EXPECT_THAT(refusal(named), HasSubstr("belongs to another seed, mixture or dataset"));
}

}  // namespace
}  // namespace birkhoff
