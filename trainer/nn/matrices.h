#pragma once
#include <optional>
#include <vector>

#include "trainer/nn/parameter.h"

namespace birkhoff {

// The rows of one logical matrix in a parameter: `groups` runs of `rows` rows each, which begin `stride` rows apart,
// the first at row `first`. Rows are numbered consecutively over all experts.
struct MatrixPlace {
  int64_t first = 0, rows = 0, columns = 0, groups = 1, stride = 0;

  Shape shape() const { return {groups * rows, columns}; }
  bool contiguous() const { return groups == 1; }
};
// All logical matrices of a parameter, ordered by expert, then by block: each block of the rows (Division) of each
// expert is a matrix.
// Shapes: the parameter is [O, I] or [E, O, I]. BugError if its blocks do not sum to O.
std::vector<MatrixPlace> matrices_of(const Parameter& parameter);
// The matrices that this rank holds, with rows numbered in the held tensor. BugError if it holds only a part of a
// matrix.
std::vector<MatrixPlace> held_matrices_of(const Parameter& parameter);
// The rows of a matrix as a part of the parameter. Its memory order is that of the matrix, row-major.
Slice slice_of(const Parameter& parameter, const MatrixPlace& matrix);

// The axis over which ranks divide the rows or columns of the matrices; nullopt if every matrix that a rank holds is
// whole. A cut between experts divides no matrix. BugError if several axes do.
std::optional<Axis> axis_of_matrices(const Parameter& parameter, const Place& rank);

// Where ranks may divide the ownership of a parameter whose matrices each need one owner: between matrices if all are
// contiguous and of equal size, otherwise between experts, otherwise nowhere.
struct MatrixUnits {
  int64_t held = 0;      // units in the part that this rank holds; it holds the same share of each
  int64_t matrices = 1;  // consecutive matrices of each unit
  int64_t first = 0;     // number of the first matrix in matrices_of() of which it holds something
};
MatrixUnits matrix_units_of(const Parameter& parameter, const Held& held);

}  // namespace birkhoff
