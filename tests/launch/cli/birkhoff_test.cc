// The program as a whole: what it prints, and its exit code.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <gmock/gmock.h>
#include <sys/wait.h>

namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Result {
  int exit_code;
  std::string output;
};

Result birkhoff(const std::string& arguments) {
  const std::string command = std::string(BIRKHOFF_PROGRAM) + " " + arguments + " 2>&1";
  std::FILE* pipe = popen(command.c_str(), "r");
  std::string output;
  std::array<char, 4096> part{};
  for (size_t bytes; (bytes = std::fread(part.data(), 1, part.size(), pipe)) > 0;) output.append(part.data(), bytes);
  return {WEXITSTATUS(pclose(pipe)), output};
}

std::string config(const std::string& name) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  return std::string(source ? source : ".") + "/configs/" + name;
}

TEST(Birkhoff, RefusesABadConfigWithAllMistakesAndCodeTwo) {
  const Result result = birkhoff("describe config " + config("quickstart.yaml") +
                                 " --set run.stepz=1 --set model.moe.top_k=99 --set optimizer.learning_rate=fast");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.output, AllOf(HasSubstr("has 3 mistakes:"), HasSubstr("did you mean run.steps?"),
                                   HasSubstr("model.moe.top_k is 99"),
                                   HasSubstr("optimizer.learning_rate is 'fast', expected a number in [0, 1]")));
}

TEST(Birkhoff, PrintsTheResolvedConfigWithOrigins) {
  const Result result = birkhoff("describe config " + config("bench/gpt_14m.yaml") + " --set run.steps=9");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output, AllOf(HasSubstr("  steps: 9 "), HasSubstr("# from --set\n")));
}

TEST(Birkhoff, DescribesAModelThatNoMachineHolds) {
  const Result result = birkhoff("describe model " + config("deepseek_v3.yaml"));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output, AllOf(HasSubstr("671,026,419,200"), HasSubstr("11,610,068,224")));
}

TEST(Birkhoff, DoctorMeasuresTheMachine) {
  const Result result = birkhoff("doctor");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output, AllOf(HasSubstr("ranks:     1"), HasSubstr("GFLOP/s in f32"), HasSubstr("GB/s")));
}

TEST(Birkhoff, RefusesAnUnknownCommandWithCodeTwo) {
  const Result result = birkhoff("trian");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.output, HasSubstr("'trian' is not a command"));
}

}  // namespace
