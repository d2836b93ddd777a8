// The command verify-layout in a program that has seeded defects: its exit code and what it prints where a layout
// fails.
#include <thread>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "kernels/core/seeded_defect.h"
#include "launch/cli/commands.h"
#include "launch/guard.h"
#include "parallel/comm/threads/thread_world.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {
std::string switched_on;
}
bool has_seeded_defect(std::string_view name) { return name == switched_on; }

namespace test {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

struct Outcome {
  std::vector<ExitCode> codes;  // of each rank
  std::string printed;
  Json json;
};

// Runs the command with a defect on a world of so many ranks.
Outcome run_with(const std::string& defect, int ranks, std::vector<std::string> arguments) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  const TempDir dir;
  arguments.insert(arguments.begin(), {"verify-layout", std::string(source ? source : ".") + "/configs/test.yaml"});
  arguments.insert(arguments.end(),
                   {"--steps", "2", "--set", "model.vocab_size=61", "--set", "batch.sequence_length=19", "--scratch",
                    dir.path().string(), "--json", (dir / "proof.json").string()});
  switched_on = defect;
  auto world = make_thread_world(ranks);
  Outcome outcome{std::vector<ExitCode>(world.size()), {}, {}};
  testing::internal::CaptureStdout();
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < world.size(); ++rank) {
    threads.emplace_back([&, rank] {
      Cli cli("1");
      add_verify_layout(cli);
      const auto action = std::get<ParallelAction>(cli.parse(arguments));
      outcome.codes[rank] = guarded(*world[rank], [&] { return action.run(*world[rank]); });
    });
  }
  for (std::thread& thread : threads) thread.join();
  outcome.printed = testing::internal::GetCapturedStdout();
  outcome.json = Json::parse(read_file(dir / "proof.json"));
  switched_on.clear();
  return outcome;
}

TEST(VerifyLayout, EndsWithSevenAndNamesTheFailedLayoutsAgainAtTheEnd) {
  const Outcome o = run_with("norm of the rank", 1, {"--layouts", "1,dp2"});
  EXPECT_THAT(o.codes, Each(ExitCode::failed_cases));
  const size_t summary = o.printed.find("1 of 2 layouts failed\n");
  ASSERT_NE(summary, std::string::npos) << o.printed;
  EXPECT_THAT(o.printed.substr(0, summary), AllOf(HasSubstr("1: pass, 1 rank, "), HasSubstr("dp2: FAIL, 2 ranks, ")));
  EXPECT_THAT(
      o.printed.substr(summary),
      AllOf(HasSubstr("dp2: FAIL\n"), HasSubstr("gradient norm, over all tensors: off by "), Not(HasSubstr("pass"))));
  EXPECT_EQ(o.json["complete"], true);
  EXPECT_EQ(o.json["passed"], false);
  EXPECT_EQ(o.json["layouts"][0]["passed"], true);
  EXPECT_EQ(o.json["layouts"][1]["passed"], false);
  EXPECT_GT(o.json["layouts"][1]["exact"]["moved rows"], 0);
  EXPECT_GT(o.json["layouts"][1]["failures"].size(), 0u);
}

// Rank 2 takes part in no layout and waits.
TEST(VerifyLayout, EndsWithSevenOnEveryRankThatMpirunStarted) {
  const Outcome o = run_with("new values not sent", 3, {"--backend", "mpi", "--layouts", "dp2"});
  EXPECT_THAT(o.codes, Each(ExitCode::failed_cases));
  EXPECT_THAT(o.printed, AllOf(HasSubstr("1 of 1 layout failed\ndp2: FAIL\n"), HasSubstr(" more\n")));
}

TEST(VerifyLayout, EndsWithZeroWithoutADefect) {
  const Outcome o = run_with("", 3, {"--backend", "mpi", "--layouts", "dp2"});
  EXPECT_THAT(o.codes, Each(ExitCode::done)) << o.printed;
  EXPECT_THAT(o.printed, HasSubstr("\n1 layout passes\n"));
}

}  // namespace
}  // namespace test
}  // namespace birkhoff
