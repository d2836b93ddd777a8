#include <algorithm>
#include <map>

#include "kernels/core/cpu/crowded.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/memory.h"
#include "trainer/bench/op_class.h"
#include "trainer/bench/profiler.h"
#include "trainer/bench/roofline.h"
#include "trainer/bench/subject.h"
#include "trainer/bench/timing.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

constexpr double kMega = 1e6, kGiga = 1e9;
constexpr int kWarmUp = 2, kProfiled = 3;

struct Work {
  double calls = 0, seconds = 0, flops = 0, bytes = 0;  // per step; 0 bytes if unknown
};
using WorkByName = std::map<std::string, Work>;

Cell rate(double amount, double seconds) { return amount > 0 && seconds > 0 ? Cell(amount / seconds / kGiga) : Cell(); }

// The time that the work would take at the measured peak, as a percentage of the time that it took.
Cell roofline_percent(const Work& w, const Roofline& best) {
  const double needed = std::max(w.flops / best.flops_per_second, w.bytes / best.bytes_per_second);
  return needed > 0 ? Cell(100 * needed / w.seconds) : Cell();
}

// Bytes moved by the classes for which they are known. AdamW reads a gradient, and reads and writes a weight and two
// moments. Packing reads a weight and writes a copy with elements of the recipe's dtype.
void count_bytes(WorkByName& classes, const Config& c, const MemoryUse& memory) {
  std::map<std::string, double> held;
  for (const MemoryClass& m : memory.classes) held[m.name] = m.predicted;
  const double element = c.precision.recipe == Recipe::f32 ? 4 : 2;
  if (c.optimizer.type == OptimizerType::adamw && held["tables"] == 0)
    classes["optimizer"].bytes = held["gradients"] + 2 * held["weights"] + 2 * held["moments"];
  classes["pack_weight"].bytes = held["packed_weights"] * (1 + sizeof(float) / element);
}

ReportTable table_of(const std::string& key, const std::string& name, const WorkByName& work, double step_s,
                     const Roofline& best) {
  std::vector<std::pair<std::string, Work>> sorted(work.begin(), work.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  ReportTable t{key, {name, "calls", "ms", "share_percent", "gflops", "gbytes_per_second", "roofline_percent"}, {}};
  for (const auto& [what, w] : sorted) {
    if (w.seconds == 0) continue;
    t.rows.push_back({what, w.calls, w.seconds * 1e3, 100 * w.seconds / step_s, rate(w.flops, w.seconds),
                      rate(w.bytes, w.seconds), roofline_percent(w, best)});
  }
  return t;
}

void profile(Report& report, Communicator& self, const Config& c, const MemoryUse& memory, const Roofline& best) {
  Profiler profiler;
  Subject subject(self, c, device_of(c), &profiler);
  subject.step();
  profiler.clear();
  double step_s = 0;
  for (int i = 0; i < kProfiled; ++i) step_s += subject.step().step / kProfiled;
  WorkByName ops, classes;
  double inside_s = 0;
  for (const auto& [op, row] : profiler.rows()) {
    const Work w{static_cast<double>(row.calls) / kProfiled, row.seconds / kProfiled, row.flops / kProfiled, 0};
    ops[op] = w;
    Work& sum = classes[std::string(op_class(op))];
    sum.calls += w.calls;
    sum.seconds += w.seconds;
    sum.flops += w.flops;
    inside_s += w.seconds;
  }
  count_bytes(classes, c, memory);
  classes["outside ops"].seconds = std::max(0.0, step_s - inside_s);
  report.tables.push_back(table_of("op_classes", "class", classes, step_s, best));
  report.tables.push_back(table_of("ops", "op", ops, step_s, best));
}

void add_memory(Report& report, const MemoryUse& memory) {
  report.add("predicted_bytes", memory.predicted, "bytes", "peak memory of a step, predicted on the meta device");
  ReportTable t{"memory", {"class", "predicted_mb", "counted_mb"}, {}};
  for (const MemoryClass& c : memory.classes) {
    if (c.predicted > 0 || c.counted > 0) t.rows.push_back({c.name, c.predicted / kMega, c.counted / kMega});
  }
  if (memory.measured) {
    report.add("measured_bytes", *memory.measured, "bytes", "growth of peak resident memory, without program code");
    report.add("predicted_over_measured", memory.predicted / *memory.measured, "", "ratio of these two");
    t.rows.push_back({"predicted, all", memory.predicted / kMega, Cell()});
    t.rows.push_back({"measured, all", Cell(), *memory.measured / kMega});
    t.rows.push_back({"in no class", Cell(), (*memory.measured - memory.predicted) / kMega});
    t.rows.push_back({"program code, apart", Cell(), *memory.mapped_files / kMega});
  } else {
    report.notes.push_back("peak memory was not measured: /proc/self gives no peak that can be reset");
  }
  report.tables.push_back(t);
}

double flops_of_step(Communicator& self, const Config& c) {
  Profiler counter;
  Subject(self, c, Device{DeviceKind::meta}, &counter).step();
  return counter.total_flops();
}

double median_step_s(Communicator& self, const BenchOptions& o) {
  Subject subject(self, o.config, device_of(o.config));
  std::vector<double> times;
  for (int64_t i = 0; i < o.rounds + kWarmUp; ++i) {
    const double s = subject.step().step;
    if (i >= kWarmUp) times.push_back(s);
  }
  return median(times);
}

}  // namespace

Report bench_step(Communicator& self, const BenchOptions& o) {
  const Config& c = o.config;
  Report report{"step", {}, {}, {}};
  start_watched_team(threads_of(c));
  const double tokens = static_cast<double>(c.batch.global_batch_size * c.batch.sequence_length);
  auto add_speed = [&](double seconds) {
    report.add("tokens_per_second", tokens / seconds, "tokens/s", "speed of the median step, including the optimizer");
    report.add("step_duration_seconds", seconds, "s", "time of the median step");
  };
  if (o.speed_only) {
    add_speed(median_step_s(self, o));
    return report;
  }
  // Measured first, because memory that was freed and is used again would hide growth.
  const MemoryUse memory = measure_memory(self, c);
  const DType dtype = c.precision.recipe == Recipe::f32 ? DType::f32 : DType::bf16;
  const Roofline before = measure_roofline(dtype);
  const double seconds = median_step_s(self, o);
  const Roofline best = better(before, measure_roofline(dtype));
  const double rate = flops_of_step(self, c) / seconds;
  add_speed(seconds);
  report.add("flops_per_second", rate, "FLOP/s", "speed of the step's matrix products and attention");
  report.add("peak_flops_per_second", best.flops_per_second, "FLOP/s", "speed of one large matrix product in this run");
  report.add("peak_fraction", rate / best.flops_per_second, "", "share of that peak that the whole step reaches");
  report.add("copy_bytes_per_second", best.bytes_per_second, "bytes/s", "speed of a large copy in this run");
  add_memory(report, memory);
  profile(report, self, c, memory, best);
  return report;
}

}  // namespace birkhoff
