#include "trainer/step/sums.h"

#include <cmath>

#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/copy.h"
#include "kernels/reduce/exact_squares.h"

namespace birkhoff {

std::vector<TensorSum> list_of_sums(const Model& model, const std::vector<std::unique_ptr<TableOptimizer>>& tables) {
  std::vector<TensorSum> sums;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    sums.push_back({"the gradient of " + e.parameter->name, 0, true});
  }
  for (const auto& table : tables) {
    const bool counted = table->options().update == TableUpdate::sparse_adamw;
    sums.push_back({"the gradient of " + table->table().name(), 0, counted});
  }
  for (const PersistentBuffer* b : model.parameters->buffers()) sums.push_back({"the value of " + b->name, 0, false});
  return sums;
}

Tensor sums_of_squares(Stream& stream, Arena& arena, const Mesh& mesh, const Model& model) {
  const ParameterStore& parameters = *model.parameters;
  const size_t count = parameters.entries().size() + model.tables.size() + parameters.buffers().size();
  const Tensor squares = arena.take(DType::f64, {static_cast<int64_t>(count), kSquareDigits});
  fill_zero(stream, squares);
  auto add = [&](size_t at, Tensor x) {
    exact_squares(stream, {squares.flat(static_cast<int64_t>(at) * kSquareDigits, kSquareDigits), x});
  };
  // Each rank adds what it owns, so the sum over the world counts each element of a gradient once. Router biases are
  // replicated, so their squares are counted once per rank. This does no harm, because their sums are used only to see
  // whether the biases are finite.
  for (const ParameterStore::Owned& o : parameters.owned()) {
    if (BK_DEFECT("D23 norm misses experts") && o.parameter->role == Role::experts && mesh.degree(Axis::ep) > 1)
      continue;
    add(o.index, o.gradient);
  }
  for (size_t i = 0; i < parameters.entries().size(); ++i) {
    const bool replicated = parameters.entries()[i].parameter->division.cuts.empty();
    if (!BK_DEFECT("D23 norm counts what all hold tp times") || !replicated) continue;
    mesh.group(Group::tp).all_reduce(stream, squares.rows(static_cast<int64_t>(i), 1))->wait(stream);
  }
  size_t next = parameters.entries().size();
  for (const auto& table : model.tables) add(next++, table->gradient().values);
  for (const PersistentBuffer* b : parameters.buffers()) add(next++, b->value);
  if (!BK_DEFECT("norm of the rank")) mesh.world().all_reduce(stream, squares)->wait(stream);
  return squares;
}

void read_sums(std::span<const double> squares, std::span<TensorSum> sums) {
  for (TensorSum& sum : sums) {
    sum.squares = value_of_digits(squares.first(kSquareDigits));
    squares = squares.subspan(kSquareDigits);
  }
}

double norm_of(const std::vector<TensorSum>& sums) {
  double total = 0;
  for (const TensorSum& s : sums) {
    if (s.counted) total += s.squares;
  }
  return std::sqrt(total);
}

const TensorSum* first_nonfinite(const std::vector<TensorSum>& sums, size_t num_parameters) {
  for (size_t n = 0; n < sums.size(); ++n) {
    const TensorSum& s = sums[n < num_parameters ? num_parameters - 1 - n : n];
    if (!std::isfinite(s.squares)) return &s;
  }
  return nullptr;
}

}  // namespace birkhoff
