#include "trainer/nn/parameter.h"

#include <algorithm>
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

namespace {

std::vector<MatrixPlace> matrices_of(const Parameter& p, int64_t num_experts) {
  const bool experts = p.shape.rank() == 3;
  const Blocks& rows_of = p.division.blocks;
  BK_ASSERT(rows_of.sizes.empty() || rows_of.dim == (experts ? 1 : 0), p.name, ": its blocks do not divide the rows");
  const int64_t rows = p.shape[experts ? 1 : 0], columns = p.shape.back();
  const int64_t groups = rows_of.groups, run = rows / groups;
  std::vector<int64_t> sizes = rows_of.sizes;
  if (sizes.empty()) sizes = {run};
  BK_ASSERT(groups * std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) == rows, p.name, " ", p.shape,
            ": its blocks do not have as many rows");
  std::vector<MatrixPlace> places;
  for (int64_t e = 0; e < num_experts; ++e) {
    int64_t first = e * rows;
    for (const int64_t size : sizes) {
      // If a group has only one block, the rows of all groups are contiguous and form one run.
      if (size == run) places.push_back({first, rows, columns, 1, rows});
      if (size > 0 && size < run) places.push_back({first, size, columns, groups, run});
      first += size;
    }
  }
  return places;
}

}  // namespace

std::vector<MatrixPlace> matrices_of(const Parameter& p) {
  return matrices_of(p, p.shape.rank() == 3 ? p.shape[0] : 1);
}

std::vector<MatrixPlace> held_matrices_of(const Parameter& p) {
  const Shape& held = p.value.shape;
  const bool experts = p.shape.rank() == 3;
  BK_ASSERT(p.shape == (experts ? held.with(0, p.shape[0]) : held), p.name, ": this rank holds a part of a matrix");
  return matrices_of(p, experts ? held[0] : 1);
}

}  // namespace birkhoff
