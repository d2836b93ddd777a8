#pragma once
// Which layouts a config can be trained in.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/mesh/layout.h"
#include "trainer/config/config.h"

namespace birkhoff {

// The axes along which a run may have more than one rank today. The functions below take them as an argument, so that
// tests can ask for all of them.
inline constexpr Axis kAvailableAxes[] = {Axis::dp, Axis::tp, Axis::ep, Axis::etp};
using Axes = std::span<const Axis>;

MeshDegrees degrees_of(const ParallelConfig& config);
// The settings of degrees that are not 1 (of dp: not 0), such as "parallel.tp", for commands that take their layouts
// from elsewhere.
std::vector<std::string> given_degrees(const ParallelConfig& config);
// The layout with the groups of ranks that the grouped dispatch needs. They follow from the groups of experts: a group
// of ranks holds one of them, or, if there are fewer ranks than groups of experts, is one rank.
MeshDegrees with_ep_groups(const Config& config, MeshDegrees layout);

// A reason why a layout cannot be: `what` says about the degree, for example, "does not divide
// model.attention.num_heads 4".
struct LayoutProblem {
  Axis axis;
  int degree;
  std::string what;
};
// Every reason, those of the model first. While the number of ranks is open (nullopt), what depends on it is not
// checked: the product of the degrees, the ranks of a stage, and the batch. Derived values of the config must be filled
// in.
std::vector<LayoutProblem> problems_of_layout(const Config& config, const MeshDegrees& degrees,
                                              std::optional<int64_t> ranks, Axes available = kAvailableAxes);

// All layouts of the available axes on exactly so many ranks, with dp filled in.
std::vector<MeshDegrees> layouts_of(const Config& config, int64_t ranks, Axes available = kAvailableAxes);
// Those of them that are nearest to `wanted`: with the fewest degrees (and kinds of dispatch) changed, then with the
// smallest ratios between the degrees and those wanted, counted in factors of two. At most three.
std::vector<MeshDegrees> nearest_layouts(const Config& config, const MeshDegrees& wanted, int64_t ranks,
                                         Axes available = kAvailableAxes);

// Returns the layout with dp filled in. Errors: UserError with all problems, one on a line, and the nearest layouts
// that work.
MeshDegrees check_layout(const Config& config, const MeshDegrees& degrees, int64_t ranks,
                         Axes available = kAvailableAxes);
// The same for the layout that the config itself gives. Returns dp, the number of replicas.
int64_t check_world(const Config& config, int64_t world_size);

}  // namespace birkhoff
