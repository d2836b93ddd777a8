#pragma once
#include <cstdint>
#include <vector>

namespace birkhoff {

// Learning rate over the steps of a run: linear warmup, constant, decay to a floor, the floor.
struct LearningRate {
  enum class Decay : uint8_t { constant, linear, cosine } decay = Decay::constant;
  double peak = 0, floor = 0;
  int64_t warmup_steps = 0, constant_steps = 0, decay_steps = 0;

  // Of the update that follows `steps_done` finished steps. The first step of a warmup of n has peak / n.
  double at(int64_t steps_done) const;
};

// Sequences of a step: from `initial` by whole increments to `full`, evenly over the first `steps` steps.
struct BatchRamp {
  int64_t initial = 0, full = 0, increment = 0, steps = 0;
  int64_t at(int64_t steps_done) const;
};

// Sequence length of a step: that of the first phase that is not over, else `full`.
struct LengthSchedule {
  struct Phase {
    int64_t until_step = 0, length = 0;
  };
  std::vector<Phase> phases;
  int64_t full = 0;
  int64_t at(int64_t steps_done) const;
};

}  // namespace birkhoff
