#include "trainer/bench/profiler.h"

namespace birkhoff {
namespace {
double seconds(std::chrono::steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }
}  // namespace

void Profiler::begin(std::string_view op) {
  const auto now = Clock::now();
  if (!open_.empty()) open_.back().row->seconds += seconds(now - open_.back().since);
  auto place = rows_.find(op);
  if (place == rows_.end()) place = rows_.emplace(std::string(op), Row{}).first;
  ++place->second.calls;
  open_.push_back({&place->second, now});
}

void Profiler::end() {
  const auto now = Clock::now();
  open_.back().row->seconds += seconds(now - open_.back().since);
  open_.pop_back();
  if (!open_.empty()) open_.back().since = now;
}

void Profiler::flops(double count) {
  if (!open_.empty()) open_.back().row->flops += count;
}

double Profiler::total_flops() const {
  double total = 0;
  for (const auto& [name, row] : rows_) total += row.flops;
  return total;
}

}  // namespace birkhoff
