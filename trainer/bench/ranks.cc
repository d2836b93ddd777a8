#include <algorithm>

#include "kernels/core/cpu/crowded.h"
#include "kernels/core/error.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/comm_meter.h"
#include "trainer/bench/comm_table.h"
#include "trainer/bench/subject.h"
#include "trainer/bench/timing.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

constexpr int kWarmUp = 2, kStepsPerRound = 2;

// Seconds per step on this rank; all ranks begin together.
double timed(Communicator& world, Subject& subject) {
  world.barrier();
  return seconds_of([&] {
           for (int i = 0; i < kStepsPerRound; ++i) subject.step();
         }) /
         kStepsPerRound;
}

// The time to reduce the gradients of all units when nothing else runs and no rank is late.
double reduction_alone_s(Communicator& world, Subject& subject) {
  ParameterStore& parameters = *subject.model().parameters;
  Stream host;
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) {
    world.barrier();
    times.push_back(seconds_of([&] {
      for (size_t unit = 0; unit < parameters.units().size(); ++unit)
        parameters.start_reduce(host, static_cast<int>(unit));
      parameters.wait_reduced(host);
    }));
  }
  return largest(all_gather_on_host(world, median(times)));
}

Config one_thread(Config c) {
  c.run.threads = 1;
  return c;
}
Config global(Config c, int ranks) {
  c.batch.global_batch_size *= ranks;
  return c;
}

}  // namespace

Report bench_ranks(Communicator& world, const BenchOptions& o) {
  agree(world, world.size() > 1,
        "bench ranks compares connected with independent ranks, so it needs several; start it with mpirun -n 2");
  const Config own = one_thread(o.config), all = global(own, world.size());
  start_watched_team(1);
  const auto self = world.split(world.rank(), 0, "alone");
  CommMeter meter;
  const auto metered = make_metered(world, meter);
  Subject alone(*self, own, device_of(own)), connected(*metered, all, device_of(all));
  std::vector<double> alone_s, connected_s;
  for (int64_t i = 0; i < o.rounds + kWarmUp; ++i) {
    // No operation is in flight here, so none points to a row that this removes.
    if (i == kWarmUp) meter = {};
    const std::vector<double> apart = all_gather_on_host(world, timed(world, alone));
    const std::vector<double> together = all_gather_on_host(world, timed(world, connected));
    if (i < kWarmUp) continue;
    alone_s.push_back(mean(apart));
    connected_s.push_back(largest(together));
  }
  const double steps = static_cast<double>(o.rounds * kStepsPerRound);
  const CommMeter measured = meter;
  std::vector<double> ratios;
  for (size_t i = 0; i < alone_s.size(); ++i) ratios.push_back(alone_s[i] / connected_s[i]);
  const double tokens = static_cast<double>(world.size() * alone.tokens());
  const double reduce_s = reduction_alone_s(world, connected);
  double waited_s = 0;
  for (const auto& [key, row] : measured.rows) waited_s += key.operation == "reduce_scatter_v" ? row.wait_s : 0;
  const double wait_s = mean(all_gather_on_host(world, waited_s)) / steps;

  Report report{"ranks", {}, {}, {}};
  report.add("connected_over_unconnected", median(ratios), "",
             "tokens/s of one run on all ranks, divided by that of independent runs");
  report.add("tokens_per_second", tokens / median(connected_s), "tokens/s",
             "speed of one run on all ranks, with one thread each");
  report.add("unconnected_tokens_per_second", tokens / median(alone_s), "tokens/s",
             "speed of all independent runs at the same time");
  report.add("reduction_wait_seconds", wait_s, "s",
             "time per step spent waiting for gradients after the last backward");
  report.add("reduction_alone_seconds", reduce_s, "s", "time of the same reduction when nothing else runs");
  report.add("reduction_hidden_share", std::max(0.0, 1 - wait_s / reduce_s), "",
             "share of the reduction that overlaps with backward");
  report.tables.push_back(communication_table(world, measured, steps));
  return report;
}

}  // namespace birkhoff
