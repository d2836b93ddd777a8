#include "kernels/optim/muon.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/copy.h"
#include "kernels/gemm/gemm.h"
#include "kernels/reduce/reduce.h"

namespace birkhoff {
namespace {

struct Polynomial {
  double a, b, c;
};
// kFast raises small singular values quickly but leaves them within 0.69 to 1.20; kExact converges to 1.
constexpr Polynomial kFast{3.4445, -4.7750, 2.0315}, kExact{2, -1.5, 0.5};
constexpr int kFastSteps = 8, kExactSteps = 2;

void check(const MuonArgs& a) {
  const Shape& shape = a.weight.shape;
  BK_CHECK(shape.rank() == 2, "muon: weight is ", shape, ", expected a matrix");
  BK_CHECK(a.momentum.shape == shape && a.grad.shape == shape, "muon: weight is ", shape, ", momentum ",
           a.momentum.shape, ", grad ", a.grad.shape);
  BK_CHECK(!a.weight_copy.present() || a.weight_copy.shape == shape, "muon: weight is ", shape, ", weight_copy ",
           a.weight_copy.shape);
  BK_CHECK(a.compute == DType::f32 || a.compute == DType::bf16, "muon: compute is ", a.compute,
           ", expected f32 or bf16");
}

}  // namespace

void newton_schulz(Stream& stream, Arena& workspace, Tensor x) {
  BK_CHECK(x.shape.rank() == 2, "newton_schulz: x is ", x.shape, ", expected a matrix");
  const bool wide = x.shape[0] <= x.shape[1];
  const int64_t side = std::min(x.shape[0], x.shape[1]);
  ArenaScope scope(workspace);
  const Tensor inverse = workspace.take(DType::f64, {1}), product = workspace.take(x.dtype, x.shape);
  const Tensor gram = workspace.take(x.dtype, {side, side}), square = workspace.take(x.dtype, {side, side});
  inverse_norm(stream, {inverse, x});
  scale(stream, {x, x, inverse});
  for (int step = 0; step < kFastSteps + kExactSteps; ++step) {
    const Polynomial p = step < kFastSteps ? kFast : kExact;
    gemm(stream, {gram, x, x, !wide, wide});
    gemm(stream, {square, gram, gram});
    add(stream, {square, gram, square, p.b, p.c});
    gemm(stream, wide ? GemmArgs{product, square, x} : GemmArgs{product, x, square});
    add(stream, {x, x, product, p.a, 1});
  }
}

void muon(Stream& stream, Arena& workspace, const MuonArgs& a) {
  check(a);
  const MuonHyper& h = a.hyper;
  const auto longest = static_cast<double>(std::max(a.weight.shape[0], a.weight.shape[1]));
  ArenaScope scope(workspace);
  const Tensor update = workspace.take(a.compute, a.weight.shape);
  add(stream, {a.momentum, a.momentum, a.grad, h.momentum, h.grad_scale});
  add(stream, {update, a.momentum, a.grad, h.momentum, h.grad_scale});
  newton_schulz(stream, workspace, update);
  const double step = h.learning_rate * h.update_rms * std::sqrt(longest);
  add(stream, {a.weight, a.weight, update, 1 - h.learning_rate * h.weight_decay, -step});
  if (a.weight_copy.present()) copy(stream, a.weight_copy, a.weight);
}

}  // namespace birkhoff
