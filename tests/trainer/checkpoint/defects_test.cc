// Every defect of a checkpoint is reported, except those that only follow from another one.
#include "tests/trainer/checkpoint/hostile.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(Hostile, EveryWrongValueIsReported) {
  edit([](Json& body) {
    body.erase("format");
    body["version"] = "1";
    body["step"] = -1;
    Json& matrix = body["tensors"]["model.matrix"];
    matrix["shape"] = {-2, 0.5};
    matrix["dtype"] = "f16";
    matrix.erase("parts");
    Json& part = body["tensors"]["adamw.m.matrix"]["parts"][0];
    part["file"] = "..";
    part["offset"] = -8;
    body["tensors"]["adamw.m.matrix"]["parts"][1]["file"] = "rank-00009.h5";
    Json& counts = body["tensors"]["counts"]["parts"][0];
    counts["xxh3"] = "";
    counts["offset"] = 1 << 30;
    body["integers"]["i"] = 0.5;
    body["reals"] = 7;
    body["tensors"]["model.table"]["parts"].erase(1);
    body["files"]["config.yaml"] = {{"bytes", -1}, {"xxh3", "0"}};
    body["files"]["rank-00001.h5"]["bytes"] = -1;
  });
  std::filesystem::remove(newest() / "tokenizer.json");
  const std::string said = refused_by_commands();
  EXPECT_THAT(said, HasSubstr(newest().string() + ": 19 defects:\n"));
  for (const char* expected :
       {"has no 'format'", "version is \"1\"", "step is -1", "model.matrix.shape[0] is -2",
        "model.matrix.shape[1] is 0.5", "model.matrix.dtype is \"f16\"", "model.matrix has no 'parts'",
        "parts[0].file is \"..\"", "parts[0].offset is -8", "integers.i is 0.5", "reals is 7",
        "files.config.yaml.bytes is -1", "files.config.yaml.xxh3 is \"0\"", "files.rank-00001.h5.bytes is -1",
        "model.table: ", "tokenizer.json: the file is missing",
        "adamw.m.matrix: its part in rank-00009.h5: the checkpoint has no such file", "counts.parts[0].xxh3 is \"\"",
        "counts: its part in rank-00000.h5: 88 bytes at byte 1073741824 lie outside"}) {
    EXPECT_THAT(said, HasSubstr(expected));
  }
}

TEST_F(Hostile, ValuesAndFilesAreCheckedDespiteAWrongChecksum) {
  Json whole = parse_json(good_, "m");
  whole["manifest"]["tensors"]["model.matrix"]["parts"][0]["boxes"][0][0][1] = 1e30;
  write_file(path(), whole.dump());
  std::filesystem::remove(newest() / "rank-00001.h5");
  EXPECT_THAT(refused_by_commands(), AllOf(HasSubstr(": 3 defects:\n"), HasSubstr("manifest.json: the checksum is "),
                                           HasSubstr("parts[0].boxes[0][0][1] is 1e+30, expected a whole number"),
                                           HasSubstr("rank-00001.h5: the file is missing")));
}

// Two tensors that share bytes are reported once, however many of their parts overlap, and their bytes are not read.
TEST_F(Hostile, ManyPartsOfTheSameBytesAreReportedOnceAndNotRead) {
  edit([](Json& body) {
    Json& parts = body["tensors"]["model.matrix"]["parts"];
    for (int i = 0; i < 10000; ++i) parts.push_back(parts[1]);
  });
  flip_first_byte("model.matrix");
  EXPECT_THAT(message_of<DataError>([&] { verify_checkpoint(newest()); }),
              AllOf(HasSubstr(": 2 defects:\n"), HasSubstr("model.matrix and model.matrix share bytes"),
                    Not(HasSubstr("model.matrix in "))));
}

// Up to twenty defects of each kind are listed, so that many defects of one kind do not hide another.
TEST_F(Hostile, ManyDefectsOfOneKindHideNoOther) {
  edit([&](Json& body) {
    for (int i = 0; i < 30; ++i) {
      body["integers"][concat("bad", i)] = "x";
      body["files"][concat("lost", i)] = {{"bytes", 1}, {"xxh3", "0123456789abcdef"}};
    }
    body["tensors"]["model.half"]["parts"][0]["offset"] = 1 << 30;
  });
  flip_first_byte("model.matrix");
  const std::string said = message_of<DataError>([&] { verify_checkpoint(newest()); });
  EXPECT_THAT(said, AllOf(HasSubstr(": 62 defects:\n"), HasSubstr("integers.bad0 is \"x\""),
                          HasSubstr("\n  and 10 more of these\n  model.half: its part in rank-00001.h5: "),
                          HasSubstr("lost0: the file is missing"), HasSubstr("model.matrix in ")));
}

TEST_F(Hostile, AFileThatIsNotListedIsReportedOnceForAllPartsInIt) {
  edit([](Json& body) { body["files"].erase("rank-00001.h5"); });
  const std::string said = refused_by_commands();
  EXPECT_THAT(said, HasSubstr("its part in rank-00001.h5: the checkpoint has no such file"));
  EXPECT_THAT(said, Not(HasSubstr(" defects:")));
}

TEST_F(Hostile, VerifyListsEveryDefect) {
  for (const char* name : {"model.matrix", "adamw.m.matrix"}) flip_first_byte(name);
  std::filesystem::remove(newest() / "rank-00001.h5");
  write_file(newest() / "config.yaml", std::string(read_file(newest() / "config.yaml").size(), '#'));
  const std::string message = message_of<DataError>([&] { verify_checkpoint(newest()); });
  EXPECT_THAT(message, HasSubstr(": 4 defects:"));
  EXPECT_THAT(message, HasSubstr("rank-00001.h5: the file is missing"));
  EXPECT_THAT(message, HasSubstr("config.yaml: the checksum is "));
  EXPECT_THAT(message, HasSubstr("model.matrix in "));
  EXPECT_THAT(message, HasSubstr("adamw.m.matrix in "));
  std::filesystem::remove(newest() / "tokenizer.json");
  EXPECT_THAT(refused_by_commands(), AllOf(HasSubstr("2 defects"), HasSubstr("tokenizer.json: the file is missing")));
}

}  // namespace
}  // namespace birkhoff
