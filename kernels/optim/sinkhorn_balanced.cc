#include "kernels/optim/sinkhorn_balanced.h"

#include "kernels/core/dispatch.h"
#include "kernels/optim/sinkhorn_phases.h"

namespace birkhoff {
namespace cpu {
void sinkhorn_momentum(const SinkhornPhase&);
void sinkhorn_select(const SinkhornPhase&);
void sinkhorn_sum_columns(const SinkhornPhase&);
void sinkhorn_scale_columns(const SinkhornPhase&);
void sinkhorn_apply(const SinkhornPhase&);
}  // namespace cpu
namespace reference {
void sinkhorn_momentum(const SinkhornPhase&);
void sinkhorn_select(const SinkhornPhase&);
void sinkhorn_sum_columns(const SinkhornPhase&);
void sinkhorn_scale_columns(const SinkhornPhase&);
void sinkhorn_apply(const SinkhornPhase&);
}  // namespace reference

void sinkhorn_momentum(Stream& stream, const SinkhornPhase& p) {
  OpScope scope(stream, "sinkhorn_momentum");
  BK_DISPATCH_HOST(stream, sinkhorn_momentum, p);
}
void sinkhorn_select(Stream& stream, const SinkhornPhase& p) {
  OpScope scope(stream, "sinkhorn_select");
  BK_DISPATCH_HOST(stream, sinkhorn_select, p);
}
void sinkhorn_sum_columns(Stream& stream, const SinkhornPhase& p) {
  OpScope scope(stream, "sinkhorn_sum_columns");
  BK_DISPATCH_HOST(stream, sinkhorn_sum_columns, p);
}
void sinkhorn_scale_columns(Stream& stream, const SinkhornPhase& p) {
  OpScope scope(stream, "sinkhorn_scale_columns");
  BK_DISPATCH_HOST(stream, sinkhorn_scale_columns, p);
}
void sinkhorn_apply(Stream& stream, const SinkhornPhase& p) {
  OpScope scope(stream, "sinkhorn_apply");
  BK_DISPATCH_HOST(stream, sinkhorn_apply, p);
}

namespace {

void check(const SinkhornBalancedArgs& a) {
  const Shape& shape = a.weight.shape;
  BK_CHECK(shape.rank() == 2 && a.momentum.shape == shape, "sinkhorn_balanced: weight is ", shape, ", momentum ",
           a.momentum.shape, ", expected one matrix");
  BK_CHECK(!a.weight_copy.present() || a.weight_copy.shape == shape, "sinkhorn_balanced: weight is ", shape,
           ", weight_copy ", a.weight_copy.shape);
  const Shape listed{a.rows.count(), shape.back()};
  BK_CHECK(a.grad.count() == 0 || a.grad.shape == (a.rows.present() ? listed : shape), "sinkhorn_balanced: grad is ",
           a.grad.shape, ", rows ", a.rows.shape, ", weight ", shape);
  BK_CHECK(!a.rows.present() || a.rows.dtype == DType::i32 || a.rows.dtype == DType::i64,
           "sinkhorn_balanced: rows are ", a.rows.dtype, ", expected i32 or i64");
  BK_CHECK(a.hyper.iterations >= 1, "sinkhorn_balanced: iterations is ", a.hyper.iterations, ", expected at least 1");
  BK_CHECK(a.momentum.dtype != DType::bf16 || a.hyper.momentum <= 1 - 0x1p-8, "sinkhorn_balanced: momentum is ",
           a.hyper.momentum, ", with which a bf16 momentum cannot decay");
}

}  // namespace

void sinkhorn_balanced(Stream& stream, Arena& workspace, const SinkhornBalancedArgs& a) {
  check(a);
  const int64_t m = a.weight.shape[0], n = a.weight.shape[1];
  ArenaScope scope(workspace);
  SinkhornPhase phase{a, workspace.take(DType::f32, {m}), workspace.take(DType::f32, {n}),
                      workspace.take(DType::f64, {n}), workspace.take(DType::f64, {1})};
  auto all_reduce = [&](Tensor sums) {
    if (a.all_reduce) a.all_reduce(stream, sums);
  };
  sinkhorn_momentum(stream, phase);
  all_reduce(phase.rho_sum);
  sinkhorn_select(stream, phase);
  for (int k = 2; k <= a.hyper.iterations; k += 2) {
    sinkhorn_sum_columns(stream, phase);
    all_reduce(phase.column_sums);
    sinkhorn_scale_columns(stream, phase);
    // The next pass over the rows, here or in sinkhorn_apply, also performs the row normalization k + 1.
    phase.rows = SinkhornPhase::Rows::normalize;
  }
  if (a.hyper.iterations % 2 == 0) phase.rows = SinkhornPhase::Rows::keep;
  sinkhorn_apply(stream, phase);
}

}  // namespace birkhoff
