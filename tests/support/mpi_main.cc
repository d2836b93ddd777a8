// main() of tests that run under mpirun. Rank 0 reports to the terminal, the others only report their failures.
#include <cstdio>
#include <exception>

#include <gmock/gmock.h>

#include "parallel/comm/mpi/mpi_world.h"
#include "tests/support/host_stream.h"
#include "tests/support/mpi_world.h"

namespace birkhoff {
namespace {
Communicator* test_world = nullptr;
}
Communicator& mpi_test_world() { return *test_world; }
}  // namespace birkhoff

int main(int argc, char** argv) {
  birkhoff::MpiWorld mpi;
  birkhoff::Communicator& world = mpi.world();
  birkhoff::test_world = &world;
  ::testing::InitGoogleMock(&argc, argv);
  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  if (world.rank() != 0) {
    struct FailuresOnly : ::testing::EmptyTestEventListener {
      void OnTestPartResult(const ::testing::TestPartResult& r) override {
        if (r.failed()) std::fprintf(stderr, "%s:%d: %s\n", r.file_name(), r.line_number(), r.message());
      }
    };
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly);
  }
  // A test that throws must not leave its peers waiting. Exceptions therefore leave gtest, and the handler below aborts
  // all ranks.
  ::testing::GTEST_FLAG(catch_exceptions) = false;
  try {
    // All ranks return the same code, so that mpirun reports a failure on any of them.
    int32_t failed = RUN_ALL_TESTS();
    birkhoff::wait_on_host(
        world.all_reduce(birkhoff::host_stream(), {&failed, birkhoff::DType::i32, {1}}, birkhoff::Reduce::max));
    return failed;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "rank %d: %s\n", world.rank(), e.what());
    world.abort(e.what(), 3);
    return 3;
  }
}
