#include "trainer/nn/parameter.h"

#include <algorithm>
#include <array>

#include "kernels/core/error.h"

namespace birkhoff {

std::string_view name_of(Role role) {
  static constexpr std::array<std::string_view, 8> kNames{"matrix", "experts", "embedding", "head",
                                                          "gain",   "bias",    "gate",      "conv"};
  return kNames[static_cast<size_t>(role)];
}

Group group_of(GradientSum sum) {
  switch (sum) {
    case GradientSum::stage:
      return Group::stage;
    case GradientSum::batch:
      return Group::batch;
    case GradientSum::edp:
      return Group::edp;
  }
  throw BugError("unknown sum of gradients");
}

GradientSum Parameter::gradient_sum() const {
  const auto cut_over = [&](Axis axis) {
    return std::any_of(division.cuts.begin(), division.cuts.end(), [axis](const Cut& c) { return c.over == axis; });
  };
  if (cut_over(Axis::ep) || cut_over(Axis::etp)) return GradientSum::edp;
  return cut_over(Axis::tp) ? GradientSum::batch : GradientSum::stage;
}

std::string_view name_of(Part part) {
  static constexpr std::array<std::string_view, 11> kNames{
      "embedding", "hyper-connections", "block norms",    "attention", "dense feed-forward",   "engram",
      "routers",   "routed experts",    "shared experts", "head",      "projections and norms"};
  return kNames[static_cast<size_t>(part)];
}

}  // namespace birkhoff
