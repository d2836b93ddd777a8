#include "trainer/run/comm_per_step.h"

#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/host_stream.h"

namespace birkhoff {
namespace {

TEST(CommPerStep, HasTheRankThatSendsMostAveragedOverTheSteps) {
  run_ranks(2, [](Communicator& inner) {
    Trace trace;
    const auto world = make_traced(inner, trace);
    const Mesh mesh(*world, {.dp = 2});
    CommPerStep comm(trace);
    std::vector<float> v(6);
    for (int step = 0; step < 2; ++step) {
      wait_on_host(mesh.group(Group::dp).broadcast(host_stream(), {v.data(), DType::f32, {6}}, 1));
      comm.count_step();
    }
    const auto rows = comm.gather(inner);
    ASSERT_EQ(rows.size(), 1u) << "nothing was sent in the world";
    EXPECT_EQ(rows[0].group, "dp");
    EXPECT_EQ(rows[0].sent_bytes, 6 * 4);
    EXPECT_GE(rows[0].waited_s, 0);
    comm.count_step();
    const auto idle = comm.gather(inner);
    ASSERT_EQ(idle.size(), 1u) << "a group stays in the list";
    EXPECT_EQ(idle[0].sent_bytes, 0);
  });
}

}  // namespace
}  // namespace birkhoff
