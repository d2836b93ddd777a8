#include <algorithm>
#include <iomanip>
#include <sstream>

#include "trainer/proof/report.h"

namespace birkhoff {
namespace {

constexpr size_t kFirstFailures = 5;  // of a layout, in the summary

bool has_failed(const LayoutVerdict& v) { return !v.verdict.failures.empty(); }

}  // namespace

bool ProofReport::passed() const {
  return vanished.empty() && std::none_of(verdicts.begin(), verdicts.end(), has_failed);
}

std::string print(const LayoutVerdict& v) {
  std::ostringstream out;
  out << v.layout.name() << ": " << (has_failed(v) ? "FAIL" : "pass") << ", " << v.layout.ranks
      << (v.layout.ranks == 1 ? " rank, " : " ranks, ") << std::fixed << std::setprecision(1) << v.seconds << " s\n";
  if (!v.not_counted.empty()) out << "  not counted: " << v.not_counted << '\n';
  if (!v.verdict.exact.empty()) {
    out << "  compared exactly:";
    const char* before = " ";
    for (const auto& [kind, count] : v.verdict.exact) {
      out << before << count << ' ' << kind;
      before = ", ";
    }
    out << '\n';
  }
  for (const auto& [family, worst] : v.verdict.worst) {
    out << "  " << std::left << std::setw(22) << family << std::right << std::scientific << std::setprecision(1)
        << std::setw(10) << worst.error << " of " << std::setw(8) << worst.bound << "  " << worst.where << '\n';
  }
  if (!v.verdict.small.empty()) {
    out << "  judged against the largest of their family:";
    for (const std::string& where : v.verdict.small) out << (where == v.verdict.small[0] ? " " : ", ") << where;
    out << '\n';
  }
  for (const std::string& note : v.verdict.notes) out << "  " << note << '\n';
  for (const std::string& failure : v.verdict.failures) out << "  FAIL " << failure << '\n';
  return out.str();
}

std::string print_summary(const ProofReport& r) {
  std::ostringstream out;
  const auto plural = [](size_t count) { return count == 1 ? " layout" : " layouts"; };
  const auto counts = [](const LayoutVerdict& v) { return v.not_counted.empty(); };
  const auto failed = static_cast<size_t>(std::count_if(r.verdicts.begin(), r.verdicts.end(), has_failed));
  if (r.passed()) {
    const auto counted = static_cast<size_t>(std::count_if(r.verdicts.begin(), r.verdicts.end(), counts));
    out << counted << plural(counted) << (counted == 1 ? " passes" : " pass");
    if (counted < r.verdicts.size()) out << ", not counting " << r.verdicts.size() - counted;
    out << '\n';
    return out.str();
  }
  if (!r.vanished.empty()) out << r.vanished.size() << " gradients of one rank vanish, so they prove nothing\n";
  if (failed > 0) out << failed << " of " << r.verdicts.size() << plural(r.verdicts.size()) << " failed\n";
  for (const LayoutVerdict& v : r.verdicts) {
    if (!has_failed(v)) continue;
    const std::vector<std::string>& failures = v.verdict.failures;
    out << v.layout.name() << ": FAIL\n";
    for (size_t i = 0; i < std::min(kFirstFailures, failures.size()); ++i) out << "  " << failures[i] << '\n';
    if (failures.size() > kFirstFailures) out << "  and " << failures.size() - kFirstFailures << " more\n";
  }
  return out.str();
}

}  // namespace birkhoff
