// A corpus that was ingested again with its files in another order has the same numbers of documents and tokens, and is
// not what the run began with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/training.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ReorderedCorpus : public testing::Test {
 protected:
  ReorderedCorpus() {
    const auto from = std::filesystem::path(BIRKHOFF_CASES) / "reordered_corpus";
    std::filesystem::copy(from, dir_.path());
  }
  ProgramResult program(const std::string& arguments) const {
    return run_program("env -C " + dir_.path().string() + " " + BIRKHOFF_PROGRAM + " " + arguments);
  }
  // One file of long documents and one of short ones, under names that decide which comes first.
  void ingest(const std::string& longs, const std::string& shorts) const {
    std::string a, b;
    for (int i = 0; i < 40; ++i) {
      for (int j = 0; j < 40; ++j) a += "alpha beta ";
      a += "\n\n";
      b += "omega omega \n\n";
    }
    std::filesystem::remove_all(dir_ / "in");
    std::filesystem::remove_all(dir_ / "data");
    write_file(dir_ / "in" / longs, a);
    write_file(dir_ / "in" / shorts, b);
    const ProgramResult r = program("data ingest in --tokenizer tokenizer.json -o data --split blank_lines");
    ASSERT_EQ(r.exit_code, 0) << r.output;
  }
  TempDir dir_;
};

TEST_F(ReorderedCorpus, IsRefusedOnAResume) {
  ingest("1.txt", "2.txt");
  ASSERT_EQ(program("train train.yaml").exit_code, 0);
  ingest("9.txt", "2.txt");
  const ProgramResult reordered = program("train train.yaml --set run.steps=8");
  EXPECT_EQ(reordered.exit_code, 6);
  EXPECT_THAT(reordered.output, AllOf(HasSubstr("are not those that the run read before, or lie in another order"),
                                      Not(HasSubstr("internal error"))));
  ingest("1.txt", "2.txt");
  const ProgramResult again = program("train train.yaml --set run.steps=8");
  EXPECT_EQ(again.exit_code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("from step 4 to 8"));
}

TEST_F(ReorderedCorpus, TheSameFolderMayBeWrittenInAnotherWay) {
  ingest("1.txt", "2.txt");
  const auto train = [&](const std::string& path, const std::string& more) {
    return program("train train.yaml --set \"data.sources=[{path: '" + path + "'}]\" " + more);
  };
  ASSERT_EQ(train("data", "").exit_code, 0);
  int steps = 4;
  for (const std::string& path : {std::string("data/"), std::string("./in/../data"), (dir_ / "data").string()}) {
    const ProgramResult r = train(path, "--set run.steps=" + std::to_string(++steps));
    EXPECT_EQ(r.exit_code, 0) << path << ": " << r.output;
  }
}

}  // namespace
}  // namespace birkhoff::test
