#include "trainer/bench/comm_meter.h"

#include <chrono>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/host_stream.h"

namespace birkhoff {
namespace {

// A communicator whose operations finish when the test sets `over`, or all together, after a while, when one of them is
// waited for.
class Scripted final : public Communicator {
 public:
  static constexpr std::chrono::milliseconds kWait{5};
  int rank() const override { return 0; }
  int size() const override { return 2; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 2; }
  const std::string& name() const override { return name_; }
  int world_rank(int rank) const override { return rank; }
  std::unique_ptr<Communicator> split(int, int, const std::string&) override { return nullptr; }
  void progress() override {}
  Wait waiting_for() const override { return {}; }
  void abort(const std::string&, int) noexcept override {}
  Pending start(Operation) override { return std::make_unique<ScriptedWork>(over); }

  bool over = false;

 private:
  struct ScriptedWork final : Work {
    explicit ScriptedWork(bool& all_over) : over(all_over) {}
    void wait(Stream&) override {
      if (!over) std::this_thread::sleep_for(kWait);
      over = true;
    }
    bool done() override { return over; }
    bool& over;
  };
  std::string name_ = "scripted";
};

class Metered : public ::testing::Test {
 protected:
  Communicator::Pending reduce() { return comm->all_reduce(host_stream(), {values.data(), DType::f32, {4}}); }
  const CommMeter::Row& row() { return meter.rows.at({"scripted", "all_reduce"}); }

  std::vector<float> values = std::vector<float>(4);
  Scripted inner;
  CommMeter meter;
  std::unique_ptr<Communicator> comm = make_metered(inner, meter);
};

TEST_F(Metered, CountsOperationsTheirBytesAndTheTimeThatTheyAreWaitedFor) {
  wait_on_host(reduce());
  comm->progress();
  EXPECT_EQ(row().calls, 1);
  EXPECT_EQ(row().bytes, 16);
  EXPECT_EQ(row().over_before_wait, 0);
  EXPECT_GE(row().wait_s, std::chrono::duration<double>(Scripted::kWait).count());
  EXPECT_EQ(meter.progress_calls, 1);
}

TEST_F(Metered, CountsBytesThatFinishedBeforeTheWait) {
  auto work = reduce();
  inner.over = true;
  wait_on_host(std::move(work));
  EXPECT_EQ(row().over_before_wait, 16);
}

// Whoever waits for one operation drives all of them, so the others have finished when it is their turn.
TEST_F(Metered, DoesNotCountAsHiddenWhatAWaitForAnotherOperationDrove) {
  auto one = reduce(), two = reduce();
  wait_on_host(std::move(two));
  wait_on_host(std::move(one));
  EXPECT_EQ(row().over_before_wait, 0);
}

TEST(CommMeter, LeavesResultsAsTheyAre) {
  run_ranks(2, [](Communicator& world) {
    CommMeter meter;
    const auto comm = make_metered(world, meter);
    std::vector<float> v(5, static_cast<float>(1 + comm->rank()));
    wait_on_host(comm->all_reduce(host_stream(), {v.data(), DType::f32, {5}}));
    EXPECT_EQ(v, std::vector<float>(5, 3.0f));
    EXPECT_EQ(meter.rows.at({"world", "all_reduce"}).bytes, 20);
  });
}

TEST(CommMeter, TellsTheGroupsOfAWorldApart) {
  run_ranks(2, [](Communicator& world) {
    CommMeter meter;
    const auto comm = make_metered(world, meter);
    const auto pair = comm->split(0, world.rank(), "pair");
    float values[3] = {};
    wait_on_host(pair->all_reduce(host_stream(), {values, DType::f32, {3}}));
    EXPECT_EQ(meter.rows.at({"pair", "all_reduce"}).bytes, 12);
    EXPECT_FALSE(meter.rows.contains({"world", "all_reduce"}));
  });
}

}  // namespace
}  // namespace birkhoff
