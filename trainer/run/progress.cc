#include "trainer/run/progress.h"

#include <iterator>
#include <sstream>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

std::string joined(const std::vector<int64_t>& numbers) {
  std::ostringstream out;
  for (int64_t number : numbers) out << number << ' ';
  return out.str();
}

}  // namespace

void Progress::state(StateVisitor& v) {
  v.text("data.cursor", cursor);
  visit_count(v, "run.skipped_nonfinite", skipped_nonfinite);
  visit_count(v, "run.skipped_spikes", skipped_spikes);
  visit_count(v, "run.skipped_in_a_row", skipped_in_a_row);
  visit_count(v, "run.failed_saves", failed_saves);
  visit_count(v, "run.bad_samples", bad_samples);
  // A checkpoint has this text only if a step was skipped recently, and a load must not ask for a name that is not
  // there.
  if (recent_skips.empty() && !loads_recent_skips) return;
  std::string steps = joined(recent_skips);
  v.text("run.recent_skips", steps);
  std::istringstream in(steps);
  recent_skips.assign(std::istream_iterator<int64_t>(in), {});
  if (!in.eof()) throw DataError(concat("run.recent_skips is '", steps, "', expected the numbers of steps"));
}

void Progress::check(int64_t steps) const {
  int64_t before = 0;
  for (const int64_t step : recent_skips) {
    if (step > before && step <= steps) {
      before = step;
      continue;
    }
    throw DataError(concat("run.recent_skips has ", step, " behind ", before,
                           ", expected ascending numbers of steps from 1 to ", steps));
  }
  if (skipped_in_a_row > steps) {
    throw DataError(concat("run.skipped_in_a_row is ", skipped_in_a_row, ", expected a number from 0 to ", steps));
  }
}

void Progress::count(const StepReport& report, int64_t step, int64_t window) {
  skipped_in_a_row = report.skipped ? skipped_in_a_row + 1 : 0;
  if (report.skipped) {
    ++(report.skip_reason == SkipReason::spike ? skipped_spikes : skipped_nonfinite);
    recent_skips.push_back(step);
  }
  std::erase_if(recent_skips, [&](int64_t skipped) { return skipped <= step - window; });
}

}  // namespace birkhoff
