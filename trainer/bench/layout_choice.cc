#include "trainer/bench/layout_choice.h"

#include <algorithm>
#include <sstream>

#include "kernels/core/error.h"
#include "trainer/config/layout_rules.h"

namespace birkhoff {
namespace {

// Whether the ranks differ along one axis besides dp, which is tp or ep.
bool is_simple(const MeshDegrees& d) { return d.etp == 1 && (d.tp == 1 || d.ep == 1); }

std::vector<MeshDegrees> named(const Config& config, const std::string& list, int ranks) {
  std::vector<MeshDegrees> layouts;
  if (list.empty() || list == "all") {
    for (const MeshDegrees& layout : layouts_of(config, ranks)) {
      const bool of_config = layout.ep == 1 || layout.dispatch == config.parallel.dispatch;
      if (list == "all" || (is_simple(layout) && of_config)) layouts.push_back(layout);
    }
    return layouts;
  }
  std::string problems;
  std::istringstream names(list);
  for (std::string name; std::getline(names, name, ',');) {
    try {
      MeshDegrees degrees = parse_layout(name);
      if (degrees.ep > 1 && degrees.dispatch == Dispatch::plain) degrees.dispatch = config.parallel.dispatch;
      layouts.push_back(check_layout(config, degrees, ranks));
    } catch (const UserError& e) {
      problems += concat(problems.empty() ? "" : "\n", e.what());
    }
  }
  BK_CHECK(problems.empty(), problems);
  return layouts;
}

}  // namespace

std::vector<MeshDegrees> bench_layouts(const Config& config, const std::string& list, int ranks) {
  std::vector<MeshDegrees> layouts{check_layout(config, {.dp = ranks}, ranks)};
  for (const MeshDegrees& layout : named(config, list, ranks)) {
    const auto same = [&](const MeshDegrees& other) { return layout_name(other) == layout_name(layout); };
    if (std::none_of(layouts.begin(), layouts.end(), same)) layouts.push_back(layout);
  }
  return layouts;
}

Config with_layout(Config config, const MeshDegrees& layout) {
  ParallelConfig& p = config.parallel;
  p.tp = layout.tp;
  p.cp = layout.cp;
  p.dp = layout.dp;
  p.pp = layout.pp;
  p.etp = layout.etp;
  p.ep = layout.ep;
  p.engram = layout.engram;
  p.dispatch = layout.dispatch;
  return config;
}

}  // namespace birkhoff
