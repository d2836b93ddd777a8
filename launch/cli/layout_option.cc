#include "launch/cli/layout_option.h"

#include "kernels/core/error.h"
#include "trainer/config/layout_rules.h"

namespace birkhoff {

LoadedConfig load_with_layout(const std::string& path, const std::string& layout,
                              const std::vector<std::string>& overrides, ConfigUse use) {
  const std::vector<AxisDegree> named = layout.empty() ? std::vector<AxisDegree>{} : axes_of_layout(layout);
  // The overrides come last, so a degree that differs afterwards was given by one of them, in whatever form.
  std::vector<std::string> all;
  for (const AxisDegree& a : named) all.push_back(concat("parallel.", name_of(a.axis), "=", a.degree));
  all.insert(all.end(), overrides.begin(), overrides.end());
  LoadedConfig loaded = load_config(path, all, use);
  const MeshDegrees degrees = degrees_of(loaded.config.parallel);
  std::string problems;
  for (const AxisDegree& a : named) {
    const int degree = degree_of(degrees, a.axis);
    if (degree == a.degree) continue;
    problems += concat("\n  ", name_of(a.axis), " is ", a.degree, " by --layout and ", degree, " by --set parallel.",
                       name_of(a.axis));
  }
  BK_CHECK(problems.empty(), "--layout ", layout,
           " and --set contradict one another; give each degree once:", problems);
  return loaded;
}

}  // namespace birkhoff
