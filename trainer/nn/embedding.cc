#include "trainer/nn/embedding.h"

#include "kernels/elementwise/add.h"
#include "kernels/embedding/embedding.h"

namespace birkhoff {

Embedding::Embedding(Build& build, const std::string& name, int64_t vocab_size, int64_t channels,
                     int64_t learned_positions)
    : activation_(build.precision.activation()), exchange_(build) {
  table_ = build.parameter(name + ".weight", {vocab_size, channels}, Role::embedding,
                           Init::normal(build.init.embedding_std()));
  table_.division.cuts = {{0, Axis::tp}};
  if (learned_positions == 0) return;
  positions_ = build.parameter(name + ".positions", {learned_positions, channels}, Role::embedding,
                               Init::normal(build.init.embedding_std()));
}

Tensor Embedding::forward(Frame& f, Tensor ids, Tensor positions) const {
  const Tensor x = look_up(f, ids);
  if (!positions.present()) return x;
  const Tensor at = f.take(activation_, x.shape);
  embedding_forward(f.stream, {at, positions_.value, positions});
  add(f.stream, {x, x, at});
  return x;
}

Tensor Embedding::look_up(Frame& f, Tensor ids) const {
  const int64_t T = ids.count(), C = table_.shape[1];
  const Tensor x = f.take(activation_, {T / exchange_.size(), C});
  if (exchange_.size() == 1) {
    embedding_forward(f.stream, {x, table_.value, ids});
    return x;
  }
  // One summand of each element is the row and the others are zero, so the sum is exact in any dtype.
  const ArenaScope scope(f.gradient_arena());
  const Tensor partial = f.take_gradient(activation_, {T, C});
  embedding_forward(f.stream, {partial, table_.value, ids, table_.first_row(), table_.shape[0]});
  exchange_.sum_to(f, x, partial);
  return x;
}

void Embedding::backward(Frame& f, Tensor dx, Tensor ids, int use) {
  const Tensor dx_of_all = exchange_.gather_gradient(f, dx);
  embedding_backward(f.stream, {table_.grad_of(use), dx_of_all, ids, table_.first_row(), table_.shape[0]});
}

void Embedding::backward_positions(Frame& f, Tensor dx, Tensor positions) {
  embedding_backward(f.stream, {positions_.grad, dx, positions});
}

void Embedding::visit(ModuleVisitor& v) {
  v.parameter(table_);
  if (positions_.shape.rank() > 0) v.parameter(positions_);
}

}  // namespace birkhoff
