#pragma once
#include <memory>
#include <string>
#include <vector>

#include "trainer/optim/optimizer.h"
#include "trainer/step/model.h"

namespace birkhoff {

// The sum of squares of one tensor of the whole model.
struct TensorSum {
  std::string what;  // "the gradient of head.weight"
  double squares = 0;
  // Whether it has a part in the gradient norm. The rows of a balanced table have none, since their update does not
  // depend on the gradient's size; nor have the values of router biases.
  bool counted = true;
};

// What the sums are of, without values: the gradients of all parameters in the order of visit(), then those of the
// tables, then the values of the router biases, which steer choices alone, so that nothing else shows one that is not
// finite. The list is the same on every rank, whatever the rank holds.
std::vector<TensorSum> list_of_sums(const Model& model, const std::vector<std::unique_ptr<TableOptimizer>>& tables);
// The sums in the order of the list, f64, in memory of the arena. Collective. A tensor that is cut between ranks is the
// sum of its parts in rank order.
Tensor sums_of_squares(Stream& stream, Arena& arena, const Mesh& mesh, const Model& model);

// The square root of what counts, added in the order of the list.
double norm_of(const std::vector<TensorSum>& sums);
// The tensor from which a value that is not finite spread, or null: of the parameters the last one, since a backward
// spreads it from there toward the input.
const TensorSum* first_nonfinite(const std::vector<TensorSum>& sums, size_t num_parameters);

}  // namespace birkhoff
