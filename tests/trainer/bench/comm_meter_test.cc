#include "trainer/bench/comm_meter.h"

#include <chrono>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "tests/support/run_ranks.h"

namespace birkhoff {
namespace {

TEST(CommMeter, CountsOperationsTheirBytesAndTheWaitForALatePeer) {
  run_ranks(2, [](Communicator& world) {
    CommMeter meter;
    const auto comm = make_metered(world, meter);
    std::vector<float> v(5, 1.0f);
    if (comm->rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(30));
    wait_on_host(comm->all_reduce({v.data(), DType::f32, {5}}));
    comm->progress();
    EXPECT_EQ(v[0], 2.0f);
    ASSERT_EQ(meter.rows.size(), 1u);
    const CommMeter::Row& row = meter.rows.at("all_reduce");
    EXPECT_EQ(row.calls, 1);
    EXPECT_EQ(row.bytes, 20);
    EXPECT_GE(row.start_s + row.wait_s, comm->rank() == 0 ? 0.02 : 0.0);
    EXPECT_EQ(meter.progress_calls, 1);
  });
}

TEST(CommMeter, TellsWhatWasOverBeforeItWasWaitedFor) {
  run_ranks(2, [](Communicator& world) {
    CommMeter meter;
    const auto comm = make_metered(world, meter);
    std::vector<float> v(4, 1.0f);
    auto work = comm->all_reduce({v.data(), DType::f32, {4}});
    while (!work->done()) comm->progress();
    wait_on_host(std::move(work));
    EXPECT_EQ(meter.rows.at("all_reduce").over_before_wait, 16);
  });
}

}  // namespace
}  // namespace birkhoff
