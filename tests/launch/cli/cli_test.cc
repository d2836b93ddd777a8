#include "launch/cli/cli.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// A command line as the program builds it.
struct CliTest : testing::Test {
  Cli cli{"1.2.3"};
  std::string config, mode = "fast";
  std::vector<std::string> overrides;
  int64_t count = 3;
  double share = 0.5;
  bool json = false;

  CliTest() {
    cli.command("train", "Train a model")
        .positional("config", config, "YAML file")
        .option("--set", overrides, "section.name=value")
        .option("--count", count, "how many")
        .option("--share", share, "how much")
        .choice("--mode", mode, {"fast", "slow"}, "how fast")
        .flag("--json", json, "as JSON")
        .run_parallel([](Communicator&) { return ExitCode::stopped; });
    Command data = cli.command("data", "Make data");
    data.subcommand("verify", "Check").run([] { return ExitCode::data_error; });
  }
  std::string refusal(const std::vector<std::string>& arguments) {
    try {
      cli.parse(arguments);
      return "";
    } catch (const UserError& e) {
      return e.what();
    }
  }
  // The code of an action that needs no ranks.
  ExitCode run(const std::vector<std::string>& arguments) { return std::get<Action>(cli.parse(arguments))(); }
};

TEST_F(CliTest, FillsTheVariablesOfTheCommand) {
  const AnyAction action = cli.parse({"train", "--set", "a.b=1", "x.yaml", "--set=c=[1, 2]", "--count", "-4", "--share",
                                      "1e-2", "--mode", "slow", "--json"});
  EXPECT_TRUE(std::holds_alternative<ParallelAction>(action));
  EXPECT_EQ(config, "x.yaml");
  EXPECT_THAT(overrides, ElementsAre("a.b=1", "c=[1, 2]"));
  EXPECT_EQ(count, -4);
  EXPECT_EQ(share, 0.01);
  EXPECT_EQ(mode, "slow");
  EXPECT_TRUE(json);
}

TEST_F(CliTest, RunsTheInnermostSubcommand) { EXPECT_EQ(run({"data", "verify"}), ExitCode::data_error); }

TEST_F(CliTest, PrintsHelpAndVersion) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(run({"--version"}), ExitCode::done);
  EXPECT_EQ(run({"train", "--help"}), ExitCode::done);
  EXPECT_THAT(testing::internal::GetCapturedStdout(),
              AllOf(HasSubstr("birkhoff 1.2.3\n"), HasSubstr("--set"), HasSubstr("YAML file")));
}

TEST_F(CliTest, SaysWhatIsWrongAndWhatIsNear) {
  const std::vector<std::pair<std::vector<std::string>, const char*>> cases = {
      {{}, "A subcommand is required"},
      {{"trian"}, "'trian' is not a command; did you mean train?"},
      {{"data", "verfy"}, "'verfy' is not a command; did you mean verify?"},
      {{"data"}, "A subcommand is required\nSee birkhoff data --help."},
      {{"train"}, "config is required"},
      {{"train", "x", "--count", "many"}, "--count"},
      {{"train", "x", "--mode", "medium"}, "medium not in {fast,slow}"},
      {{"train", "x", "--sett", "a"}, "--sett"},
      {{"train", "x", "y"}, "See birkhoff train --help."},
  };
  for (const auto& given : cases) {
    EXPECT_THAT(refusal(given.first), HasSubstr(given.second));
  }
}

}  // namespace
}  // namespace birkhoff
