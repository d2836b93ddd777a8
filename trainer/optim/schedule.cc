#include "trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace birkhoff {

LearningRate::LearningRate(const ScheduleOptions& options, int64_t run_steps) : options_(options) {
  const int64_t rest = run_steps - options.warmup_steps - options.constant_steps;
  if (options.decay_steps == 0) options_.decay_steps = std::max<int64_t>(1, rest);
}

double LearningRate::at(int64_t steps_done) const {
  const ScheduleOptions& o = options_;
  const double peak = o.learning_rate, floor = o.min_learning_rate;
  const int64_t step = steps_done + 1;
  if (step <= o.warmup_steps) return peak * static_cast<double>(step) / static_cast<double>(o.warmup_steps);
  const int64_t into_decay = step - o.warmup_steps - o.constant_steps;
  if (o.type == ScheduleType::constant || into_decay <= 0) return peak;
  if (into_decay >= o.decay_steps) return floor;
  const double t = static_cast<double>(into_decay) / static_cast<double>(o.decay_steps);
  const double weight = o.type == ScheduleType::linear ? 1 - t : 0.5 * (1 + std::cos(std::numbers::pi * t));
  return floor + (peak - floor) * weight;
}

int64_t batch_size_at(const BatchRampOptions& r, int64_t full, int64_t steps_done) {
  if (r.initial_size <= 0 || r.increment <= 0 || steps_done >= r.steps) return full;
  // Rounded up: the last increment may be smaller, since the size is capped at `full`.
  const int64_t num_increments = (full - r.initial_size + r.increment - 1) / r.increment;
  return std::min(full, r.initial_size + r.increment * (num_increments * steps_done / std::max<int64_t>(r.steps, 1)));
}

int64_t sequence_length_at(const std::vector<LengthPhaseOptions>& phases, int64_t full, int64_t steps_done) {
  for (const LengthPhaseOptions& phase : phases) {
    if (steps_done < phase.until_step) return phase.sequence_length;
  }
  return full;
}

}  // namespace birkhoff
