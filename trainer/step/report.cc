#include "trainer/step/report.h"

#include <algorithm>
#include <cmath>

#include "kernels/elementwise/copy.h"

namespace birkhoff {

void report_losses(Stream& stream, const ParameterStore& parameters, const std::vector<double>& depth_weights,
                   StepReport& report) {
  double total = 0;
  for (const StepCounter* counter : parameters.counters()) {
    if (counter->kind == StepCounter::Kind::balance_loss) report.balance_loss += read_scalar(stream, counter->value);
    if (counter->kind != StepCounter::Kind::loss) continue;
    const std::vector<double> losses = read_values(stream, counter->value);
    for (double l : losses) total += l;
    report.loss = losses[0];
    for (size_t d = 1; d < losses.size(); ++d) {
      report.mtp_loss.push_back(depth_weights[d] > 0 ? losses[d] / depth_weights[d] : 0);
    }
  }
  if (!std::isfinite(total + report.balance_loss)) {
    report.skip_reason = SkipReason::nonfinite;
    report.first_nonfinite = "the loss";
  }
}

void report_loads(Stream& stream, const ParameterStore& parameters, StepReport& report) {
  std::vector<double> ratios;  // of every expert, over the mean of its layer
  for (const ParameterStore::Router& router : parameters.routers()) {
    const std::vector<double> load = read_values(stream, router.load->value);
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
