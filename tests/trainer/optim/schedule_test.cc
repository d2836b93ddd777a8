#include "trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

namespace birkhoff {
namespace {

LearningRate rate(ScheduleType type) {
  return {{.learning_rate = 1,
           .min_learning_rate = 0.1,
           .type = type,
           .warmup_steps = 4,
           .constant_steps = 3,
           .decay_steps = 8},
          100};
}

TEST(LearningRate, WarmsUpInEqualSteps) {
  const LearningRate r = rate(ScheduleType::linear);
  EXPECT_DOUBLE_EQ(r.at(0), 0.25);
  EXPECT_DOUBLE_EQ(r.at(1), 0.5);
  EXPECT_DOUBLE_EQ(r.at(3), 1.0);
}

TEST(LearningRate, StaysConstantThenDecaysToTheFloor) {
  for (auto decay : {ScheduleType::linear, ScheduleType::cosine}) {
    const LearningRate r = rate(decay);
    for (int64_t step = 3; step < 7; ++step) EXPECT_EQ(r.at(step), 1.0);
    for (int64_t step = 7; step < 14; ++step) EXPECT_GT(r.at(step - 1), r.at(step));
    EXPECT_DOUBLE_EQ(r.at(10), 0.55) << "half way";
    EXPECT_EQ(r.at(14), 0.1);
    EXPECT_EQ(r.at(1000), 0.1);
  }
}

TEST(LearningRate, CosineIsAboveTheLineBeforeHalfWay) {
  EXPECT_DOUBLE_EQ(rate(ScheduleType::linear).at(8), 0.1 + 0.9 * 0.75);
  EXPECT_DOUBLE_EQ(rate(ScheduleType::cosine).at(8), 0.1 + 0.9 * 0.5 * (1 + std::sqrt(0.5)));
}

TEST(LearningRate, WithoutWarmupAndDecayIsThePeak) {
  const LearningRate r({.learning_rate = 0.3, .type = ScheduleType::constant}, 100);
  EXPECT_EQ(r.at(0), 0.3);
  EXPECT_EQ(r.at(99), 0.3);
}

TEST(BatchRamp, ClimbsInWholeIncrementsEvenly) {
  const BatchRampOptions ramp{4, 2, 9};
  for (int64_t step = 0; step < 12; ++step)
    EXPECT_EQ(batch_size_at(ramp, 10, step), 4 + 2 * std::min<int64_t>(step / 3, 3)) << step;
}

TEST(BatchRamp, LastIncrementStopsAtTheFullBatch) {
  const BatchRampOptions ramp{4, 3, 4};
  EXPECT_EQ(batch_size_at(ramp, 9, 0), 4);
  EXPECT_EQ(batch_size_at(ramp, 9, 3), 7);
  EXPECT_EQ(batch_size_at(ramp, 9, 4), 9);
}

TEST(BatchRamp, IsOffWithoutAnInitialSize) { EXPECT_EQ(batch_size_at({}, 8, 0), 8); }

TEST(LengthSchedule, GoesThroughItsPhases) {
  const std::vector<LengthPhaseOptions> phases{{2, 128}, {5, 512}};
  EXPECT_EQ(sequence_length_at(phases, 1024, 0), 128);
  EXPECT_EQ(sequence_length_at(phases, 1024, 1), 128);
  EXPECT_EQ(sequence_length_at(phases, 1024, 2), 512);
  EXPECT_EQ(sequence_length_at(phases, 1024, 4), 512);
  EXPECT_EQ(sequence_length_at(phases, 1024, 5), 1024);
}

}  // namespace
}  // namespace birkhoff
