#include "trainer/run/comm_per_step.h"

#include <algorithm>

#include "parallel/comm/host_values.h"

namespace birkhoff {

CommPerStep::Totals CommPerStep::totals() const {
  const auto sent = trace_->sent_bytes();
  const auto waited = trace_->waited_s();
  Totals totals{};
  for (size_t g = 0; g < kNumGroups; ++g) {
    const std::string name(name_of(static_cast<Group>(g)));
    if (const auto found = sent.find(name); found != sent.end()) totals[g] = static_cast<double>(found->second);
    if (const auto found = waited.find(name); found != waited.end()) totals[kNumGroups + g] = found->second;
  }
  return totals;
}

std::vector<CommPerStep::Row> CommPerStep::gather(Communicator& world) {
  const Totals now = totals();
  Totals most{};
  for (size_t i = 0; i < most.size(); ++i) most[i] = now[i] - before_[i];
  all_reduce_on_host(world, std::span(most), Reduce::max);
  const auto steps = static_cast<double>(std::max<int64_t>(steps_, 1));
  std::vector<Row> rows;
  for (size_t g = 0; g < kNumGroups; ++g) {
    used_[g] = used_[g] || most[g] > 0;
    if (!used_[g]) continue;
    rows.push_back({std::string(name_of(static_cast<Group>(g))), most[g] / steps, most[kNumGroups + g] / steps});
  }
  before_ = now;
  steps_ = 0;
  return rows;
}

}  // namespace birkhoff
