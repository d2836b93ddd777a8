#pragma once
#include <map>
#include <set>
#include <vector>

#include "trainer/nn/parameter_store.h"

namespace birkhoff {

// The cost of one update by Muon, in updates of one element by AdamW.
double muon_cost(const Shape& matrix);

// A matrix whose rows or columns are divided over the ranks along an axis, and the one of them that updates it.
struct DividedMatrix {
  size_t entry = 0;    // of the parameter in ParameterStore::entries()
  int64_t number = 0;  // of the matrix in matrices_of()
  MatrixPlace place;   // the same matrix
  int rank = 0;        // along the axis
};
// The matrices that are divided over `axis`, and whose parts belong to the ranks at `position` of the groups over which
// their gradients are summed. All ranks at this position compute the same list. It begins with the most expensive
// matrices. The ranks take turns, so each consecutive axis-degree entries are about equally expensive and have one
// matrix for each rank.
std::vector<DividedMatrix> divided_matrices(const ParameterStore& parameters, Axis axis, int position);

// Which ranks of the world update matrices of a parameter, for parameters whose matrices each need one owner.
class MatrixOwners final {
 public:
  explicit MatrixOwners(const ParameterStore& parameters);
  std::set<int> of(size_t entry) const;

 private:
  const ParameterStore* parameters_;
  std::map<size_t, std::set<std::pair<int, int>>> divided_;  // by entry: positions and ranks along the axis
};

}  // namespace birkhoff
