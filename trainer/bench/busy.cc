#include <algorithm>
#include <optional>

#include "kernels/core/cpu/crowded.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/engine/backoff.h"
#include "parallel/comm/host_values.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/busy_processes.h"
#include "trainer/bench/step_worker.h"
#include "trainer/bench/subject.h"
#include "trainer/bench/timing.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

constexpr int kWarmUp = 1, kBusyProcesses = 2;

struct Times {
  std::vector<double> shipped_s, sleeping_s;
};

// Times the waits of the threads of one rank. How threads wait is fixed at the start of a process, so each way of
// waiting has a process of its own.
Times time_threads(const BenchOptions& o) {
  StepWorker shipped(o.step_worker, ThreadWaits::as_shipped), sleeping(o.step_worker, ThreadWaits::sleeping);
  Times times;
  for (int64_t i = 0; i < o.rounds + kWarmUp; ++i) {
    const double shipped_s = shipped.step(), sleeping_s = sleeping.step();
    if (i < kWarmUp) continue;
    times.shipped_s.push_back(shipped_s);
    times.sleeping_s.push_back(sleeping_s);
  }
  return times;
}

// Seconds of one step on the slowest rank; all ranks begin together.
double timed(Communicator& world, Subject& subject, RankWaits waits) {
  world.barrier();
  rank_waits = waits;
  const double seconds = seconds_of([&] { subject.step(); });
  rank_waits = RankWaits::spin_then_sleep;
  const std::vector<double> all = all_gather_on_host(world, seconds);
  return *std::max_element(all.begin(), all.end());
}

// Times the waits of ranks with one thread each.
Times time_ranks(Communicator& world, const BenchOptions& o) {
  Config c = o.config;
  c.run.threads = 1;
  c.batch.global_batch_size *= world.size();
  start_watched_team(1);
  Subject subject(world, c, device_of(c));
  Times times;
  for (int64_t i = 0; i < o.rounds + kWarmUp; ++i) {
    const double shipped_s = timed(world, subject, RankWaits::spin_then_sleep);
    const double sleeping_s = timed(world, subject, RankWaits::sleep);
    if (i < kWarmUp) continue;
    times.shipped_s.push_back(shipped_s);
    times.sleeping_s.push_back(sleeping_s);
  }
  return times;
}

}  // namespace

Report bench_busy(Communicator& world, const BenchOptions& o) {
  std::optional<BusyProcesses> busy;
  agree(world, [&] {
    if (world.local_rank() == 0) busy.emplace(kBusyProcesses);
  });
  const Times times = world.size() == 1 ? time_threads(o) : time_ranks(world, o);
  std::vector<double> ratios;
  for (size_t i = 0; i < times.shipped_s.size(); ++i) ratios.push_back(times.shipped_s[i] / times.sleeping_s[i]);
  Report report{"busy", {}, {}, {}};
  report.add("shipped_over_sleeping", median(ratios), "",
             "step time with two busy processes, divided by that with waits that sleep at once");
  report.add("step_duration_seconds", median(times.shipped_s), "s", "time of the median step with the default waits");
  report.add("sleeping_step_duration_seconds", median(times.sleeping_s), "s",
             "time of the median step with waits that sleep");
  return report;
}

}  // namespace birkhoff
