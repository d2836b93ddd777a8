#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "trainer/optim/optimizer.h"
#include "trainer/step/model.h"

namespace birkhoff {

// The sum of squares of one tensor of the whole model.
struct TensorSum {
  std::string what;  // "the gradient of head.weight"
  double squares = 0;
  // Whether this sum is part of the gradient norm. The gradients of a balanced table are not, since its update does not
  // depend on the gradient's size. The values of router biases are not either.
  bool counted = true;
};

// The list of sums, with names but without values: the gradients of all parameters in the order of visit(), then those
// of the tables, then the values of the router biases. A router bias affects only the choice of experts, so no loss or
// gradient would show that it is not finite. The list is the same on every rank, whatever the rank holds.
std::vector<TensorSum> list_of_sums(const Model& model, const std::vector<std::unique_ptr<TableOptimizer>>& tables);
// Collective. Computes the sums in the order of the list, as digits [sums, kSquareDigits] of f64 (exact_squares.h) in
// memory of the arena. They do not depend on how tensors are divided between ranks.
Tensor sums_of_squares(Stream& stream, Arena& arena, const Mesh& mesh, const Model& model);
// Writes the sums that stand in a host copy of these digits to the list.
void read_sums(std::span<const double> squares, std::span<TensorSum> sums);

// The gradient norm: the square root of the sums that count, added in the order of the list.
double norm_of(const std::vector<TensorSum>& sums);
// The tensor in which a non-finite value probably originated, or null if all sums are finite: the last parameter whose
// sum is not finite, because a backward spreads the value from there toward the input. If all parameters are finite,
// the first such table or bias.
const TensorSum* first_nonfinite(const std::vector<TensorSum>& sums, size_t num_parameters);

}  // namespace birkhoff
