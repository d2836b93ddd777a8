#include "trainer/run/evaluation.h"

#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace birkhoff::test {
namespace {

using testing::HasSubstr;

EvaluationResult result() {
  EvaluationResult r;
  r.step = 600;
  r.loss = 1.0 / 3;
  r.bits_per_byte = 0.1;
  r.tokens = 1e15;
  r.bytes = 7.5;
  r.checkpoint = "a \"b\"\n\xff/step-00000600";
  return r;
}

TEST(EvaluationLog, ShowsAllDigits) {
  EXPECT_EQ(
      evaluation_line(result()),
      "step: 600 | loss: 0.3333333333333333 nats/token | bits_per_byte: 0.1 | tokens: 1000000000000000 | bytes: 7.5");
  EvaluationResult bad = result();
  bad.loss = -std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(evaluation_line(bad), HasSubstr("| loss: nan nats/token"));
}

TEST(EvaluationLog, HoldsALineForEachEvaluation) {
  const TempDir dir;
  const std::filesystem::path file = dir / "not/there/eval.jsonl";
  EXPECT_EQ(append_evaluation(file, result(), "data"), "");
  EXPECT_EQ(append_evaluation(file, result(), "other"), "");
  std::ifstream in(file);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].at("event"), "eval");
  EXPECT_EQ(lines[0].at("step"), 600);
  EXPECT_EQ(lines[0].at("loss").get<double>(), 1.0 / 3);
  EXPECT_EQ(lines[0].at("tokens"), 1000000000000000);
  EXPECT_EQ(lines[0].at("checkpoint"), "a \"b\"\n\xef\xbf\xbd/step-00000600");
  EXPECT_EQ(lines[1].at("data"), "other");
}

TEST(EvaluationLog, SaysWhyItCannotBeWritten) {
  EXPECT_THAT(append_evaluation("/dev/full", result(), ""),
              HasSubstr("cannot write /dev/full: No space left on device"));
  EXPECT_THAT(append_evaluation("/proc/x/eval.jsonl", result(), ""), HasSubstr("cannot open /proc/x/eval.jsonl: "));
  const TempDir dir;
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(append_evaluation(dir / "pipe", result(), ""), HasSubstr("pipe: "));
}

}  // namespace
}  // namespace birkhoff::test
