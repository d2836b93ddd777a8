#include "trainer/metrics/json_lines.h"

#include <csignal>
#include <fstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/stat.h>

namespace birkhoff {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct JsonLinesTest : testing::Test {
  std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "birkhoff_json_lines_test.jsonl";
  std::vector<std::string> warnings;
  Warn warn = [this](const std::string& text) { warnings.push_back(text); };

  JsonLinesTest() { std::filesystem::remove(path); }
  ~JsonLinesTest() override { std::filesystem::remove(path); }
  std::vector<std::string> lines() const {
    std::ifstream file(path);
    std::vector<std::string> result;
    for (std::string line; std::getline(file, line);) result.push_back(line);
    return result;
  }
};

TEST_F(JsonLinesTest, AppendsOneObjectARecord) {
  open_json_lines(path, warn)->publish({"step", 1, {{"loss", 2.5}}});
  open_json_lines(path, warn)->publish({"step", 2, {{"loss", 2.25}}});
  ASSERT_EQ(lines().size(), 2u);
  EXPECT_EQ(nlohmann::json::parse(lines()[1]).at("loss"), 2.25);
  EXPECT_TRUE(warnings.empty());
}

TEST_F(JsonLinesTest, WarnsOnceOfAFullDiskAndGoesOn) {
  const auto sink = open_json_lines("/dev/full", warn);
  for (int64_t step = 0; step < 3; ++step) sink->publish({"step", step, {}});
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("cannot write /dev/full: No space left on device; the run goes on")));
}

// Opening such a pipe in blocking mode would wait for a reader forever.
TEST_F(JsonLinesTest, GoesOnWithoutAPipeThatNobodyReads) {
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(open_json_lines(path, warn), nullptr);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr(": a pipe that nobody reads; the run goes on without this log")));
}

TEST_F(JsonLinesTest, KeepsLinesWholeWhenAWriteStopsHalfWay) {
  const auto sink = open_json_lines(path, warn);
  sink->publish({"step", 1, {}});
  const auto size = std::filesystem::file_size(path);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{size + 5, before.rlim_max};  // stands in for a disk with five free bytes
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  sink->publish({"step", 2, {}});
  sink->publish({"step", 3, {}});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  sink->publish({"step", 4, {}});
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("cannot write"), HasSubstr("2 records were lost")));
  ASSERT_EQ(lines().size(), 3u);
  EXPECT_EQ(nlohmann::json::parse(lines()[0]).at("step"), 1);
  EXPECT_EQ(nlohmann::json::parse(lines()[2]).at("step"), 4);
}

TEST_F(JsonLinesTest, GivesNoSinkWhereTheFileCannotBeOpened) {
  EXPECT_EQ(open_json_lines("/nowhere/x.jsonl", warn), nullptr);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("cannot open /nowhere/x.jsonl: No such file or directory")));
}

}  // namespace
}  // namespace birkhoff
