#include "trainer/bench/layout_choice.h"

#include <algorithm>
#include <sstream>

#include "trainer/config/layout_rules.h"

namespace birkhoff {
namespace {

// Whether the ranks differ along one axis besides dp, which is tp or ep.
bool is_simple(const MeshDegrees& d) { return d.dispatch == Dispatch::plain && d.etp == 1 && (d.tp == 1 || d.ep == 1); }

std::vector<MeshDegrees> named(const Config& config, const std::string& list, int ranks) {
  std::vector<MeshDegrees> layouts;
  if (list.empty() || list == "all") {
    for (const MeshDegrees& layout : layouts_of(config, ranks)) {
      if (list == "all" || is_simple(layout)) layouts.push_back(layout);
    }
    return layouts;
  }
  std::istringstream names(list);
  for (std::string name; std::getline(names, name, ',');)
    layouts.push_back(check_layout(config, parse_layout(name), ranks));
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
