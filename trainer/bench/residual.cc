#include <array>
#include <utility>

#include "kernels/core/cpu/crowded.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/subject.h"
#include "trainer/bench/timing.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

constexpr int kWarmUp = 2;
constexpr std::array<ResidualType, 3> kTypes{ResidualType::plain, ResidualType::mhc, ResidualType::mhc_single_pass};

// Times of one residual type. All types run one step in each round, so that noise of the machine hits them alike.
struct Times {
  std::vector<double> step, gradients;
};

std::array<Times, 3> run_in_turn(Communicator& self, const BenchOptions& o) {
  std::vector<std::unique_ptr<Subject>> subjects;
  for (const ResidualType type : kTypes) {
    Config c = o.config;
    c.model.residual.type = type;
    subjects.push_back(std::make_unique<Subject>(self, c, device_of(c)));
  }
  std::array<Times, 3> times;
  for (int64_t i = 0; i < o.rounds + kWarmUp; ++i) {
    for (size_t k = 0; k < subjects.size(); ++k) {
      const Subject::Time t = subjects[k]->step();
      if (i < kWarmUp) continue;
      times[k].step.push_back(t.step);
      times[k].gradients.push_back(t.gradients);
    }
  }
  return times;
}

double median_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
  return median(ratios);
}

}  // namespace

Report bench_residual(Communicator& self, const BenchOptions& o) {
  start_watched_team(threads_of(o.config));
  Report report{"residual", {}, {}, {}};
  const std::array<Times, 3> times = run_in_turn(self, o);
  for (size_t k = 1; k < kTypes.size(); ++k) {
    const std::string over = std::string(name_of(kTypes[k])) + "_over_plain";
    report.add(over, median_ratio(times[k].step, times[0].step), "", "whole steps, optimizer included");
    report.add(over + "_gradients", median_ratio(times[k].gradients, times[0].gradients), "",
               "forward, backward and gradient norm alone");
  }
  ReportTable t{"residuals", {"residual", "step_ms", "gradients_ms"}, {}};
  for (size_t k = 0; k < kTypes.size(); ++k) {
    t.rows.push_back({std::string(name_of(kTypes[k])), 1e3 * median(times[k].step), 1e3 * median(times[k].gradients)});
  }
  report.tables.push_back(t);
  return report;
}

}  // namespace birkhoff
