#include "launch/cli/layout_option.h"

#include "kernels/core/error.h"
#include "trainer/config/layout_rules.h"

namespace birkhoff {

LoadedConfig load_with_layout(const std::string& path, const std::string& layout,
                              const std::vector<std::string>& overrides, ConfigUse use) {
  NamedLayout named;
  std::string unreadable;
  try {
    if (!layout.empty()) named = read_layout(layout);
  } catch (const UserError& e) {
    unreadable = e.what();
  }
  // The overrides come last, so a degree that differs afterwards was given by one of them, in whatever form.
  std::vector<std::string> all;
  for (const AxisDegree& a : named.axes) all.push_back(concat("parallel.", name_of(a.axis), "=", a.degree));
  if (named.names_dispatch) all.push_back(concat("parallel.dispatch=", name_of(named.dispatch)));
  all.insert(all.end(), overrides.begin(), overrides.end());
  LoadedConfig loaded;
  try {
    loaded = load_config(path, all, use);
  } catch (const UserError& e) {
    if (unreadable.empty()) throw;
    throw UserError(concat(unreadable, '\n', e.what()));
  }
  BK_CHECK(unreadable.empty(), unreadable);
  const MeshDegrees degrees = degrees_of(loaded.config.parallel);
  std::string problems;
  for (const AxisDegree& a : named.axes) {
    const int degree = degree_of(degrees, a.axis);
    if (degree == a.degree) continue;
    problems += concat("\n  ", name_of(a.axis), " is ", a.degree, " by --layout and ", degree, " by --set parallel.",
                       name_of(a.axis));
  }
  if (named.names_dispatch && degrees.dispatch != named.dispatch) {
    problems += concat("\n  dispatch is ", name_of(named.dispatch), " by --layout and ", name_of(degrees.dispatch),
                       " by --set parallel.dispatch");
  }
  BK_CHECK(problems.empty(), "--layout ", layout,
           " and --set contradict one another; give each degree once:", problems);
  return loaded;
}

}  // namespace birkhoff
