#include "trainer/step/report.h"

#include <algorithm>
#include <cmath>

namespace birkhoff {

void report_losses(Numbers losses, const ParameterStore& parameters, const std::vector<double>& depth_weights,
                   StepReport& report) {
  double total = 0;
  size_t next = 0;
  for (const StepCounter* counter : parameters.counters()) {
    if (counter->kind == StepCounter::Kind::load) continue;
    const std::vector<double>& values = losses[next++];
    if (counter->kind == StepCounter::Kind::balance_loss) {
      report.balance_loss += values[0];
      continue;
    }
    for (double l : values) total += l;
    report.loss = values[0];
    for (size_t d = 1; d < values.size(); ++d) {
      // The counter includes the weight of the depth; the report is in nats per token.
      report.mtp_loss.push_back(depth_weights[d] > 0 ? values[d] / depth_weights[d] : 0);
    }
  }
  if (!std::isfinite(total + report.balance_loss)) {
    report.skip_reason = SkipReason::nonfinite;
    report.first_nonfinite = "the loss";
  }
}

void report_loads(Numbers loads, StepReport& report) {
  std::vector<double> ratios;  // of every expert, over the mean of its layer
  for (const std::vector<double>& load : loads) {
    double sum = 0;
    for (double l : load) {
      sum += l;
      report.dead_experts += l == 0;
    }
    for (double l : load) ratios.push_back(sum > 0 ? l * static_cast<double>(load.size()) / sum : 0);
  }
  if (ratios.empty()) return;
  std::sort(ratios.begin(), ratios.end());
  report.expert_load_max = ratios.back();
  report.expert_load_p95 = ratios[(ratios.size() - 1) * 95 / 100];
  report.expert_load_min = ratios.front();
}

}  // namespace birkhoff
