#include "trainer/bench/comm_table.h"

#include "parallel/comm/host_values.h"
#include "trainer/bench/timing.h"

namespace birkhoff {

ReportTable communication_table(Communicator& world, const CommMeter& meter, double steps) {
  const auto per_step = [&](double value) { return mean(all_gather_on_host(world, value)) / steps; };
  ReportTable t{
      "communication", {"group", "operation", "calls", "mb", "start_ms", "wait_ms", "over_before_wait_percent"}, {}};
  for (const auto& [key, row] : meter.rows) {
    const double over =
        row.bytes > 0 ? 100.0 * static_cast<double>(row.over_before_wait) / static_cast<double>(row.bytes) : 0;
    t.rows.push_back({key.group, key.operation, per_step(static_cast<double>(row.calls)),
                      per_step(static_cast<double>(row.bytes) / 1e6), per_step(1e3 * row.start_s),
                      per_step(1e3 * row.wait_s), mean(all_gather_on_host(world, over))});
  }
  t.rows.push_back({Cell(), "progress", per_step(static_cast<double>(meter.progress_calls)), Cell(),
                    per_step(1e3 * meter.progress_s), Cell(), Cell()});
  return t;
}

}  // namespace birkhoff
