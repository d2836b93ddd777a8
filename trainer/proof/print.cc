#include <iomanip>
#include <sstream>

#include "trainer/proof/verify.h"

namespace birkhoff {

std::string print(const LayoutVerdict& v) {
  std::ostringstream out;
  const bool passed = v.verdict.failures.empty();
  out << v.layout.name() << ": " << (passed ? "pass" : "FAIL") << ", " << v.layout.ranks
      << (v.layout.ranks == 1 ? " rank, " : " ranks, ") << std::fixed << std::setprecision(1) << v.seconds << " s\n";
  if (!v.not_counted.empty()) out << "  not counted: " << v.not_counted << '\n';
  for (const auto& [family, worst] : v.verdict.worst) {
    out << "  " << std::left << std::setw(22) << family << std::right << std::scientific << std::setprecision(1)
        << std::setw(10) << worst.error << " of " << std::setw(8) << worst.bound << "  " << worst.where << '\n';
  }
  if (!v.verdict.small.empty()) {
    out << "  judged against the largest of their family:";
    for (const std::string& where : v.verdict.small) out << (where == v.verdict.small[0] ? " " : ", ") << where;
    out << '\n';
  }
  for (const std::string& failure : v.verdict.failures) out << "  FAIL " << failure << '\n';
  return out.str();
}

}  // namespace birkhoff
