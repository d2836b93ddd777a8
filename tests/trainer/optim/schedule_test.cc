#include "trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

namespace birkhoff {
namespace {

LearningRate rate(LearningRate::Decay decay) { return {decay, 1.0, 0.1, 4, 3, 8}; }

TEST(LearningRate, WarmsUpInEqualSteps) {
  const LearningRate r = rate(LearningRate::Decay::linear);
  EXPECT_DOUBLE_EQ(r.at(0), 0.25);
  EXPECT_DOUBLE_EQ(r.at(1), 0.5);
  EXPECT_DOUBLE_EQ(r.at(3), 1.0);
}

TEST(LearningRate, StaysConstantThenDecaysToTheFloor) {
  for (auto decay : {LearningRate::Decay::linear, LearningRate::Decay::cosine}) {
    const LearningRate r = rate(decay);
    for (int64_t step = 3; step < 7; ++step) EXPECT_EQ(r.at(step), 1.0);
    for (int64_t step = 7; step < 14; ++step) EXPECT_GT(r.at(step - 1), r.at(step));
    EXPECT_DOUBLE_EQ(r.at(10), 0.55) << "half way";
    EXPECT_EQ(r.at(14), 0.1);
    EXPECT_EQ(r.at(1000), 0.1);
  }
}

TEST(LearningRate, CosineIsAboveTheLineBeforeHalfWay) {
  EXPECT_DOUBLE_EQ(rate(LearningRate::Decay::linear).at(8), 0.1 + 0.9 * 0.75);
  EXPECT_DOUBLE_EQ(rate(LearningRate::Decay::cosine).at(8), 0.1 + 0.9 * 0.5 * (1 + std::sqrt(0.5)));
}

TEST(LearningRate, WithoutWarmupAndDecayIsThePeak) {
  const LearningRate r{LearningRate::Decay::constant, 0.3, 0, 0, 0, 0};
  EXPECT_EQ(r.at(0), 0.3);
  EXPECT_EQ(r.at(99), 0.3);
}

TEST(BatchRamp, ClimbsInWholeIncrementsEvenly) {
  const BatchRamp ramp{4, 10, 2, 9};
  for (int64_t step = 0; step < 12; ++step) EXPECT_EQ(ramp.at(step), 4 + 2 * std::min<int64_t>(step / 3, 3)) << step;
}

TEST(BatchRamp, LastIncrementStopsAtTheFullBatch) {
  const BatchRamp ramp{4, 9, 3, 4};
  EXPECT_EQ(ramp.at(0), 4);
  EXPECT_EQ(ramp.at(3), 7);
  EXPECT_EQ(ramp.at(4), 9);
}

TEST(BatchRamp, IsOffWithoutAnInitialSize) { EXPECT_EQ((BatchRamp{0, 8, 0, 0}.at(0)), 8); }

TEST(LengthSchedule, GoesThroughItsPhases) {
  const LengthSchedule s{{{2, 128}, {5, 512}}, 1024};
  EXPECT_EQ(s.at(0), 128);
  EXPECT_EQ(s.at(1), 128);
  EXPECT_EQ(s.at(2), 512);
  EXPECT_EQ(s.at(4), 512);
  EXPECT_EQ(s.at(5), 1024);
}

}  // namespace
}  // namespace birkhoff
