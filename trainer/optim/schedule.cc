#include "trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace birkhoff {

double LearningRate::at(int64_t steps_done) const {
  const int64_t step = steps_done + 1;
  if (step <= warmup_steps) return peak * static_cast<double>(step) / static_cast<double>(warmup_steps);
  const int64_t into_decay = step - warmup_steps - constant_steps;
  if (decay == Decay::constant || into_decay <= 0) return peak;
  if (into_decay >= decay_steps) return floor;
  const double t = static_cast<double>(into_decay) / static_cast<double>(decay_steps);
  const double weight = decay == Decay::linear ? 1 - t : 0.5 * (1 + std::cos(std::numbers::pi * t));
  return floor + (peak - floor) * weight;
}

int64_t BatchRamp::at(int64_t steps_done) const {
  if (initial <= 0 || increment <= 0 || steps_done >= steps) return full;
  const int64_t rungs = (full - initial + increment - 1) / increment;
  return std::min(full, initial + increment * (rungs * steps_done / std::max<int64_t>(steps, 1)));
}

int64_t LengthSchedule::at(int64_t steps_done) const {
  for (const Phase& phase : phases) {
    if (steps_done < phase.until_step) return phase.length;
  }
  return full;
}

}  // namespace birkhoff
