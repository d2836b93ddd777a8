#include "trainer/nn/parameter.h"

#include <array>
#include <numeric>

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

std::string_view name_of(Part part) {
  static constexpr std::array<std::string_view, 11> kNames{
      "embedding", "hyper-connections", "block norms",    "attention", "dense feed-forward",   "engram",
      "routers",   "routed experts",    "shared experts", "head",      "projections and norms"};
  return kNames[static_cast<size_t>(part)];
}

std::vector<MatrixPlace> matrices_of(const Parameter& p) {
  const bool experts = p.shape.rank() == 3;
  const int64_t num = experts ? p.shape[0] : 1, rows = p.shape[experts ? 1 : 0], columns = p.shape.back();
  const int64_t groups = p.matrix_rows.groups, run = rows / groups;
  std::vector<int64_t> blocks = p.matrix_rows.blocks;
  if (blocks.empty()) blocks = {rows};
  BK_ASSERT(groups * std::accumulate(blocks.begin(), blocks.end(), int64_t{0}) == rows, p.name, " ", p.shape,
            " has other rows than its matrices");
  std::vector<MatrixPlace> places;
  for (int64_t e = 0; e < num; ++e) {
    int64_t first = e * rows;
    for (const int64_t block : blocks) {
      if (block == run) places.push_back({first, rows, columns, 1, rows});
      if (block > 0 && block < run) places.push_back({first, block, columns, groups, run});
      first += block;
    }
  }
  return places;
}

}  // namespace birkhoff
