#include "trainer/nn/matrices.h"

#include <algorithm>
#include <numeric>

#include "kernels/core/error.h"

namespace birkhoff {
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

int64_t experts_of(const Parameter& p, const Shape& shape) { return p.shape.rank() == 3 ? shape[0] : 1; }

}  // namespace

std::vector<MatrixPlace> matrices_of(const Parameter& p) { return matrices_of(p, experts_of(p, p.shape)); }

std::vector<MatrixPlace> held_matrices_of(const Parameter& p) {
  const Shape& held = p.value.shape;
  const bool experts = p.shape.rank() == 3;
  BK_ASSERT(p.shape == (experts ? held.with(0, p.shape[0]) : held), p.name, ": this rank holds a part of a matrix");
  return matrices_of(p, experts_of(p, held));
}

Slice slice_of(const Parameter& p, const MatrixPlace& m) {
  Slice slice{p.shape, {}};
  const bool experts = p.shape.rank() == 3;
  const int64_t rows = experts ? p.shape[1] : p.shape[0];
  for (int64_t g = 0; g < m.groups; ++g) {
    const int64_t first = m.first + g * m.stride, expert = first / rows, row = first % rows;
    slice.boxes.push_back(experts ? Box{{expert, row, 0}, {1, m.rows, m.columns}} : Box{{row, 0}, {m.rows, m.columns}});
  }
  return slice;
}

std::optional<Axis> axis_of_matrices(const Parameter& p, const Place& rank) {
  std::optional<Axis> axis;
  for (const Cut& cut : p.division.cuts) {
    const bool between_experts = p.shape.rank() == 3 && cut.dim == 0;
    if (between_experts || rank.degree(cut.over) == 1) continue;
    BK_ASSERT(!axis, p.name, ": its matrices are divided over ", name_of(*axis), " and ", name_of(cut.over));
    axis = cut.over;
  }
  return axis;
}

MatrixUnits matrix_units_of(const Parameter& p, const Held& held) {
  const std::vector<MatrixPlace> of_expert = matrices_of(p, 1);
  const auto num = static_cast<int64_t>(of_expert.size());
  const bool alike = std::all_of(of_expert.begin(), of_expert.end(),
                                 [&](const MatrixPlace& m) { return m.contiguous() && m.rows == of_expert[0].rows; });
  const bool experts = p.shape.rank() == 3;
  const int64_t first = experts && !held.slice.boxes.empty() ? held.slice.boxes.front().begin[0] : 0;
  const int64_t units = experts_of(p, held.shape) * (alike ? num : 1);
  return {units, alike ? 1 : num, first * num};
}

}  // namespace birkhoff
