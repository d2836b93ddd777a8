#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <sstream>

#include "kernels/core/cpu/crowded.h"
#include "kernels/core/error.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/comm_table.h"
#include "trainer/bench/layout_choice.h"
#include "trainer/bench/layout_memory.h"
#include "trainer/bench/op_class.h"
#include "trainer/bench/profiler.h"
#include "trainer/bench/room.h"
#include "trainer/bench/subject.h"
#include "trainer/bench/timing.h"
#include "trainer/config/layout_rules.h"
#include "trainer/plan/dry_rank.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

constexpr int kWarmUp = 2, kStepsPerRound = 2;
constexpr double kMega = 1e6;

// One layout that is timed, with what is measured beside its steps.
struct Contender {
  Contender(Communicator& world, const Config& config, const MeshDegrees& degrees)
      : layout(degrees),
        metered(make_metered(world, meter)),
        subject(*metered, with_layout(config, degrees), device_of(config), &profiler) {}

  std::string name() const { return layout_name(layout); }
  double step_s() const { return median(seconds); }

  MeshDegrees layout;
  Profiler profiler;
  CommMeter meter;
  std::unique_ptr<Communicator> metered;
  Subject subject;
  std::vector<double> seconds;  // of a step, of the slowest rank, by round
};
using Contenders = std::vector<std::unique_ptr<Contender>>;

// Seconds of a step of the slowest rank; all ranks begin together.
double timed(Communicator& world, Subject& subject) {
  world.barrier();
  const double s = seconds_of([&] {
    for (int i = 0; i < kStepsPerRound; ++i) subject.step();
  });
  return largest(all_gather_on_host(world, s)) / kStepsPerRound;
}

// Every other round goes through the layouts backward, so that a drift of the machine's speed favors none.
void time_alternately(Communicator& world, Contenders& contenders, int64_t rounds) {
  for (int64_t i = 0; i < rounds + kWarmUp; ++i) {
    for (auto& c : contenders) {
      const double s = timed(world, c->subject);
      if (i >= kWarmUp) c->seconds.push_back(s);
    }
    std::reverse(contenders.begin(), contenders.end());
    if (i + 1 != kWarmUp) continue;
    // No operation is in flight here, so none points to a row that this removes.
    for (auto& c : contenders) {
      c->meter = {};
      c->profiler.clear();
    }
  }
  if ((rounds + kWarmUp) % 2 == 1) std::reverse(contenders.begin(), contenders.end());
}

// Milliseconds of a step by class of op, mean of the ranks. Rank 0 names the classes, since all ranks must take part in
// the same exchanges.
std::map<std::string, double> class_ms(Communicator& world, const Contender& c, double steps) {
  std::map<std::string, double> own;
  for (const auto& [op, row] : c.profiler.rows()) own[std::string(op_class(op))] += 1e3 * row.seconds / steps;
  std::string names;
  for (const auto& [name, ms] : own) names += name + '\n';
  std::istringstream lines(broadcast_on_host(world, names, 0));
  std::map<std::string, double> of_ranks;
  for (std::string name; std::getline(lines, name);) of_ranks[name] = mean(all_gather_on_host(world, own[name]));
  return of_ranks;
}

double communication_ms(Communicator& world, const Contender& c, double steps) {
  double seconds = c.meter.progress_s;
  for (const auto& [key, row] : c.meter.rows) seconds += row.start_s + row.wait_s;
  return 1e3 * mean(all_gather_on_host(world, seconds)) / steps;
}

double speed_over(const Contender& c, const Contender& base) {
  std::vector<double> ratios;
  for (size_t i = 0; i < c.seconds.size(); ++i) ratios.push_back(base.seconds[i] / c.seconds[i]);
  return median(ratios);
}

double fastest(const Contender& c) { return *std::min_element(c.seconds.begin(), c.seconds.end()); }

// The first contender is dp alone.
void add_speed(Report& report, Communicator& world, const Contenders& contenders, double steps) {
  const Contender& base = *contenders.front();
  const Config& config = base.subject.config();
  const auto tokens = static_cast<double>(config.batch.global_batch_size * config.batch.sequence_length);
  report.add("tokens_per_second_of_dp", tokens / base.step_s(), "tokens/s", "speed of dp alone, with a thread a rank");
  ReportTable layouts{
      "layouts",
      {"layout", "over_dp", "fastest_over_dp", "tokens_per_second", "step_ms", "ops_ms", "communication_ms"},
      {}};
  ReportTable classes{"op_classes", {"layout", "class", "ms", "more_than_dp_ms"}, {}};
  ReportTable communication{"communication", {}, {}};
  const std::map<std::string, double> of_base = class_ms(world, base, steps);
  for (const auto& c : contenders) {
    const std::map<std::string, double> ms = class_ms(world, *c, steps);
    double ops_ms = 0;
    for (const auto& [name, value] : ms) {
      const auto before = of_base.find(name);
      ops_ms += value;
      classes.rows.push_back({c->name(), name, value, value - (before == of_base.end() ? 0 : before->second)});
    }
    layouts.rows.push_back({c->name(), speed_over(*c, base), fastest(base) / fastest(*c), tokens / c->step_s(),
                            1e3 * c->step_s(), ops_ms, communication_ms(world, *c, steps)});
    ReportTable own = communication_table(world, c->meter, steps);
    own.columns.insert(own.columns.begin(), "layout");
    communication.columns = own.columns;
    for (auto& row : own.rows) {
      row.insert(row.begin(), c->name());
      communication.rows.push_back(std::move(row));
    }
    const MeshDegrees& l = c->layout;
    if (l.tp == world.size() && l.ep * l.etp == 1)
      report.add("tp_over_dp", speed_over(*c, base), "", "tokens/s of tp over all ranks, divided by that of dp");
    if (l.ep == world.size() && l.tp * l.etp == 1 && l.dispatch == Dispatch::plain)
      report.add("ep_over_dp", speed_over(*c, base), "",
                 "tokens/s of dp with ep over all ranks, divided by that of dp");
  }
  for (ReportTable& table : {std::ref(layouts), std::ref(communication), std::ref(classes)})
    report.tables.push_back(std::move(table));
}

std::vector<LayoutMemory> measure_memory_of(Communicator& world, const Config& config,
                                            const std::vector<MeshDegrees>& layouts) {
  // What the process allocates once, such as generated code, should not count as memory of the first layout.
  Subject(world, with_layout(config, layouts.front()), device_of(config)).step();
  std::vector<LayoutMemory> memory;
  for (const MeshDegrees& layout : layouts) memory.push_back(measure_layout_memory(world, with_layout(config, layout)));
  return memory;
}

void add_memory(Report& report, const std::vector<MeshDegrees>& layouts, const std::vector<LayoutMemory>& memory) {
  ReportTable t{"memory", {"layout", "class", "planned_mb", "counted_mb", "difference_bytes"}, {}};
  double difference = 0, least = INFINITY, most = 0;
  for (size_t i = 0; i < layouts.size(); ++i) {
    const std::string name = layout_name(layouts[i]);
    for (const LayoutMemory::Class& c : memory[i].classes) {
      if (c.exact) difference = std::max(difference, static_cast<double>(c.difference));
      if (c.planned == 0 && c.counted == 0) continue;
      t.rows.push_back({name, c.name, static_cast<double>(c.planned) / kMega, static_cast<double>(c.counted) / kMega,
                        static_cast<double>(c.difference)});
    }
    if (!memory[i].peak) continue;
    const LayoutMemory::Peak& peak = *memory[i].peak;
    t.rows.push_back({name, "all, resident", static_cast<double>(peak.planned) / kMega,
                      static_cast<double>(peak.measured) / kMega,
                      static_cast<double>(std::abs(peak.planned - peak.measured))});
    least = std::min(least, peak.planned_over_measured());
    most = std::max(most, peak.planned_over_measured());
  }
  report.add("difference_from_plan_bytes", difference, "bytes",
             "largest difference of weights, gradients, moments or tables of a rank from the plan");
  if (most > 0) {
    report.add("least_planned_over_measured", least, "", "planned memory over growth of peak resident memory, least");
    report.add("most_planned_over_measured", most, "", "the same, most");
  } else {
    report.notes.push_back("peak memory was not measured: /proc/self gives no peak that can be reset");
  }
  report.tables.push_back(t);
}

// The activations between divided layers, by degree of tp: planned, and counted where the run has such a layout in
// which experts are whole.
void add_activations(Report& report, const Config& config, const std::vector<MeshDegrees>& layouts,
                     const std::vector<LayoutMemory>& memory) {
  ReportTable t{"activations", {"tp", "planned_mb", "counted_mb", "tp_times_over_tp1"}, {}};
  const auto planned = [&](int tp) {
    return static_cast<double>(DryRank(config, {.tp = tp, .dp = 1}, 0).run().bytes.between_layers);
  };
  const double alone = planned(1);
  double furthest = 1;
  for (const int tp : {1, 2, 4}) {
    if (!problems_of_layout(with_layout(config, {.tp = tp, .dp = 1}), {.tp = tp, .dp = 1}, tp).empty()) continue;
    std::optional<double> counted;
    for (size_t i = 0; i < layouts.size(); ++i) {
      if (layouts[i].tp == tp && layouts[i].ep * layouts[i].etp == 1)
        counted = static_cast<double>(memory[i].between_layers);
    }
    const double bytes = counted.value_or(planned(tp)), times = tp * bytes / alone;
    if (std::abs(times - 1) > std::abs(furthest - 1)) furthest = times;
    Cell in_run;
    if (counted) in_run = *counted / kMega;
    t.rows.push_back({static_cast<double>(tp), planned(tp) / kMega, in_run, times});
  }
  report.add("tp_times_activations", furthest, "",
             "activations between divided layers times tp, over those of tp 1: the one furthest from 1");
  report.tables.push_back(t);
}

}  // namespace

Report bench_layout(Communicator& world, const BenchOptions& o) {
  std::vector<MeshDegrees> layouts;
  Config config = o.config;
  config.run.threads = 1;
  agree(world, [&] {
    BK_CHECK(world.size() > 1, "bench layout compares layouts of several ranks; start it with mpirun -n 2");
    BK_CHECK(config.run.device == DeviceKind::cpu, "bench layout measures the CPU, but run.device is ",
             name_of(config.run.device), "; leave it out");
    layouts = bench_layouts(config, o.layouts, world.size());
    check_room(world, config, layouts);
  });
  start_watched_team(1);
  Report report{"layout", {}, {}, {}};
  // First, since memory that was freed and is used again would hide growth.
  const std::vector<LayoutMemory> memory = measure_memory_of(world, config, layouts);
  Contenders contenders;
  for (const MeshDegrees& layout : layouts) contenders.push_back(std::make_unique<Contender>(world, config, layout));
  time_alternately(world, contenders, o.rounds);
  add_speed(report, world, contenders, static_cast<double>(o.rounds * kStepsPerRound));
  add_memory(report, layouts, memory);
  add_activations(report, config, layouts, memory);
  return report;
}

}  // namespace birkhoff
