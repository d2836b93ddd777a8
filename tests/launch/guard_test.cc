#include "launch/guard.h"

#include <filesystem>
#include <system_error>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/threads/thread_world.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::StartsWith;

struct Outcome {
  std::vector<ExitCode> codes;
  std::string printed;
};

Outcome run_guarded(int ranks, const std::function<ExitCode(Communicator&)>& body) {
  Outcome outcome{std::vector<ExitCode>(static_cast<size_t>(ranks)), ""};
  auto world = make_thread_world(ranks);
  testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < world.size(); ++rank) {
    threads.emplace_back(
        [&, rank] { outcome.codes[rank] = guarded(*world[rank], [&] { return body(*world[rank]); }); });
  }
  for (std::thread& thread : threads) thread.join();
  outcome.printed = testing::internal::GetCapturedStderr();
  return outcome;
}

template <class E>
ExitCode code_of_throwing() {
  testing::internal::CaptureStderr();
  const ExitCode code = guarded([]() -> ExitCode { throw E("why"); });
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("error"));
  return code;
}

TEST(Guard, GivesEachClassOfErrorItsExitCode) {
  EXPECT_EQ(code_of_throwing<UserError>(), ExitCode::user_error);
  EXPECT_EQ(code_of_throwing<BugError>(), ExitCode::internal_error);
  EXPECT_EQ(code_of_throwing<CommError>(), ExitCode::comm_error);
  EXPECT_EQ(code_of_throwing<DataError>(), ExitCode::data_error);
  EXPECT_EQ(code_of_throwing<std::runtime_error>(), ExitCode::internal_error);
  EXPECT_EQ(guarded([] { return ExitCode::stopped; }), ExitCode::stopped);
}

// A refusal by the system is not a defect of the program, wherever it is met.
TEST(Guard, TakesARefusalOfTheSystemForAnErrorOfTheUserThatNamesPathAndReason) {
  const auto printed = [](const std::exception_ptr& error) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(guarded([&]() -> ExitCode { std::rethrow_exception(error); }), ExitCode::user_error);
    return testing::internal::GetCapturedStderr();
  };
  const auto denied = std::make_error_code(std::errc::permission_denied);
  EXPECT_EQ(printed(std::make_exception_ptr(std::filesystem::filesystem_error("cannot list", "/data/texts", denied))),
            "error: /data/texts: Permission denied\n");
  EXPECT_EQ(printed(std::make_exception_ptr(std::filesystem::filesystem_error("cannot rename", "/a", "/b", denied))),
            "error: /a (with /b): Permission denied\n");
  EXPECT_THAT(printed(std::make_exception_ptr(std::system_error(EAGAIN, std::generic_category(), "thread"))),
              AllOf(StartsWith("error: the system refused: thread"), HasSubstr("Resource temporarily unavailable")));
  EXPECT_EQ(code_of_throwing<std::ios_base::failure>(), ExitCode::internal_error);
}

TEST(Guard, FreesThePeersOfAFailingRankAndPrintsItsMessageFirst) {
  const Outcome outcome = run_guarded(4, [](Communicator& world) -> ExitCode {
    BK_CHECK(world.rank() != 2, "shard 7 is missing");
    world.barrier();  // would wait forever
    return ExitCode::done;
  });
  EXPECT_THAT(outcome.printed, StartsWith("[rank 2 of 4] error: shard 7 is missing\n"));
  EXPECT_EQ(outcome.codes[2], ExitCode::user_error);
  EXPECT_EQ(outcome.codes[0], ExitCode::comm_error);
}

TEST(Guard, LetsTheLowestOfManyFailingRanksSpeakFirst) {
  const Outcome outcome = run_guarded(3, [](Communicator&) -> ExitCode { throw UserError("no such file"); });
  EXPECT_THAT(outcome.printed, StartsWith("[rank 0 of 3] error: no such file\n"));
  EXPECT_THAT(outcome.codes, Each(ExitCode::user_error));
}

TEST(Guard, PrintsAnAgreedErrorOnceAndEndsNoPeer) {
  const Outcome outcome = run_guarded(3, [](Communicator& world) {
    agree(world, [&] { BK_CHECK(world.rank() == 0, "bad on ", world.rank()); });
    return ExitCode::done;
  });
  EXPECT_EQ(outcome.printed, "error: rank 1: bad on 1\n");
  EXPECT_THAT(outcome.codes, Each(ExitCode::user_error));
}

}  // namespace
}  // namespace birkhoff
