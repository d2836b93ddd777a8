#include "trainer/optim/spike.h"

#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

namespace birkhoff {
namespace {

SpikeOptions options() { return {5, 16, true}; }

double usual_loss(int i) { return 3 + 0.1 * std::sin(i); }

// Saves the state of a detector, or loads it back.
struct Memory final : StateVisitor {
  bool loading = false;
  std::map<std::string, int64_t> integers;
  std::map<std::string, double> reals;

  void replicated(const std::string&, Tensor, const Slice&, const Communicator&) override {}
  void shard(const std::string&, Tensor, const Slice&) override {}
  void integer(const std::string& name, int64_t& v) override {
    (loading ? v : integers[name]) = loading ? integers.at(name) : v;
  }
  void real(const std::string& name, double& v) override { (loading ? v : reals[name]) = loading ? reals.at(name) : v; }
  void text(const std::string&, std::string&) override {}
};

TEST(SpikeDetector, FindsALossThatStandsOut) {
  SpikeDetector detector(options());
  for (int i = 0; i < 100; ++i) ASSERT_FALSE(detector.is_spike(usual_loss(i))) << i;
  EXPECT_TRUE(detector.is_spike(4));
  EXPECT_TRUE(detector.is_spike(4)) << "a spike does not become usual";
  EXPECT_FALSE(detector.is_spike(2)) << "a loss below the others is no spike";
}

TEST(SpikeDetector, DoesNotJudgeBeforeHalfAWindow) {
  SpikeDetector detector(options());
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(detector.is_spike(usual_loss(i)));
  EXPECT_FALSE(detector.is_spike(100)) << "the eighth";
}

TEST(SpikeDetector, AcceptsEqualLosses) {
  SpikeDetector detector(options());
  for (int i = 0; i < 40; ++i) EXPECT_FALSE(detector.is_spike(0.1)) << i;
}

TEST(SpikeDetector, IsOffWithoutAScore) {
  SpikeDetector detector(SpikeOptions{0, 16, true});
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(detector.is_spike(usual_loss(i)));
  EXPECT_FALSE(detector.is_spike(1e9));
}

TEST(SpikeDetector, GoesOnFromItsState) {
  for (int steps : {3, 10, 37}) {
    SpikeDetector first(options()), second(options());
    for (int i = 0; i < steps; ++i) first.is_spike(usual_loss(i));
    Memory memory;
    first.state(memory);
    memory.loading = true;
    second.state(memory);
    for (int i = 0; i < 60; ++i) {
      const double loss = i % 11 == 10 ? 3.6 : usual_loss(steps + i);
      EXPECT_EQ(first.is_spike(loss), second.is_spike(loss)) << steps << ' ' << i;
    }
  }
}

// After a resume with another window, the detector goes on from the newest losses, in the order in which they came.
TEST(SpikeDetector, TakesAnotherWindowOnAResume) {
  for (const int64_t window : {6, 40}) {
    const SpikeOptions changed{5, window, true};
    SpikeDetector before(options()), resumed(changed), expected(changed);
    for (int i = 0; i < 37; ++i) before.is_spike(usual_loss(i));
    Memory memory;
    before.state(memory);
    memory.loading = true;
    resumed.state(memory);
    resumed.is_spike(usual_loss(37));
    for (int i = 37 - 16; i <= 37; ++i) expected.is_spike(usual_loss(i));
    Memory of_resumed, of_expected;
    for (int i = 38; i < 90; ++i) {
      for (SpikeDetector* d : {&resumed, &expected}) EXPECT_FALSE(d->is_spike(usual_loss(i)));
    }
    resumed.state(of_resumed);
    expected.state(of_expected);
    std::multiset<double> kept, wanted;
    for (const auto& [name, loss] : of_resumed.reals) kept.insert(loss);
    for (const auto& [name, loss] : of_expected.reals) wanted.insert(loss);
    EXPECT_EQ(kept, wanted) << window;
    EXPECT_EQ(kept.size(), static_cast<size_t>(window));
  }
}

}  // namespace
}  // namespace birkhoff
