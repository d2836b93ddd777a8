#include "launch/cli/cli.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// A command line built as the program builds its own.
struct CliTest : testing::Test {
  Cli cli{"1.2.3"};
  std::string config, output, mode = "fast";
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
    data.subcommand("make", "Make").option("--output,-o", output, "folder").required().run([] {
      return ExitCode::done;
    });
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
  // Runs an action that needs no MPI, and returns its exit code.
  ExitCode run(const std::vector<std::string>& arguments) { return std::get<SerialAction>(cli.parse(arguments))(); }
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

// By itself CLI11 reads 010 as eight, and a number beyond 64 bits as the largest one.
TEST_F(CliTest, ReadsNumbersInDecimalDigitsAndInRange) {
  cli.parse({"train", "x", "--count", "010", "--share", "+.125"});
  EXPECT_EQ(count, 10);
  EXPECT_EQ(share, 0.125);
  for (const char* bad : {"9223372036854775808", "-9223372036854775809", "0x10", "1e3", " 5", "+-5", "1_000", "5 "}) {
    EXPECT_THAT(refusal({"train", "x", concat("--count=", bad)}),
                HasSubstr(concat("--count: '", bad, "' is no whole number")));
  }
  for (const char* bad : {"1e999", "1e-999", "nan", "inf", "0x1p-3", "0,1", "5%"}) {
    EXPECT_THAT(refusal({"train", "x", "--share", bad}), HasSubstr(concat("--share: '", bad, "' is no finite number")));
  }
}

// "--count=$N" with an unset variable must not take the next word as its value.
TEST_F(CliTest, DoesNotTakeTheNextWordForAnEmptyValue) {
  EXPECT_THAT(refusal({"train", "--mode=", "fast", "x"}), HasSubstr("--mode= has no value; give one, or leave"));
  EXPECT_THAT(refusal({"train", "x", "--count=", "7"}), HasSubstr("--count= has no value"));
  EXPECT_THAT(refusal({"train", "--set=", "x"}), HasSubstr("--set= has no value"));
  EXPECT_THAT(refusal({"data", "make", "-o=x"}), HasSubstr("-o=x: a value follows -o without '='; write -o x"));
  cli.parse({"train", "x", "--set", "a.b=", "--set=c="});
  EXPECT_THAT(overrides, ElementsAre("a.b=", "c="));
}

TEST_F(CliTest, NamesAnUnknownOptionBeforeMissingArguments) {
  EXPECT_THAT(refusal({"data", "make", "--Output", "x"}),
              HasSubstr("--Output is not an option; did you mean --output?"));
  EXPECT_THAT(refusal({"data", "make", "--outptu=x"}), HasSubstr("--outptu is not an option; did you mean --output?"));
  EXPECT_THAT(refusal({"data", "make"}), HasSubstr("--output is required"));
  EXPECT_THAT(refusal({"train", "--set", "--zzz"}), HasSubstr("config is required"));
}

}  // namespace
}  // namespace birkhoff
