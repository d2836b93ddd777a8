#include <algorithm>
#include <cmath>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/optim/adamw.h"
#include "kernels/optim/optim_simd.h"
#include "kernels/optim/row_ids.h"

namespace birkhoff::cpu {
namespace {

constexpr int64_t kBlock = 4096;  // elements; the weights are still in the cache when weight_copy is made

AdamWFactors factors_of(const AdamWHyper& h) {
  const auto step = static_cast<double>(h.step);
  const double correction1 = 1 - std::pow(h.beta1, step), correction2 = 1 - std::pow(h.beta2, step);
  auto f32 = [](double x) { return static_cast<float>(x); };
  return {f32(h.beta1),
          f32(h.beta2),
          f32(1 - h.beta1),
          f32(1 - h.beta2),
          f32(h.grad_scale),
          f32(1 - h.learning_rate * h.weight_decay),
          f32(h.learning_rate / correction1),
          f32(1 / std::sqrt(correction2)),
          f32(h.eps)};
}

// Updates elements [first, first + count) of weight with the gradients from element `from` of grad.
template <class M, class V>
void update_run(const AdamWArgs& a, const AdamWFactors& factors, int64_t first, int64_t from, int64_t count) {
  static const auto update = on_best_isa([]<Isa isa>() { return adamw_run<isa, M, V>(); });
  static const auto round = on_best_isa([]<Isa isa>() { return round_run<isa>(); });
  float* weight = a.weight.f32() + first;
  update(weight, a.m.as<M>() + first, a.v.as<V>() + first, a.grad.f32() + from, count, factors);
  if (!a.weight_copy.present()) return;
  if (a.weight_copy.dtype == DType::bf16) {
    round(a.weight_copy.as<bfloat16>() + first, weight, count);
  } else {
    std::copy_n(weight, count, a.weight_copy.f32() + first);
  }
}

template <class Body>
void with_moment_types(const AdamWArgs& a, Body body) {
  with_activation_type(a.m.dtype, [&]<class M>() {
    with_activation_type(a.v.dtype, [&]<class V>() { body.template operator()<M, V>(); });
  });
}

}  // namespace

void adamw(const AdamWArgs& a) {
  const AdamWFactors factors = factors_of(a.hyper);
  const int64_t count = a.weight.count();
  with_moment_types(a, [&]<class M, class V>() {
    parallel_for((count + kBlock - 1) / kBlock, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * kBlock; i < std::min(end * kBlock, count); i += kBlock) {
        update_run<M, V>(a, factors, i, i, std::min(kBlock, count - i));
      }
    });
  });
}

void adamw_rows(const AdamWRowsArgs& a) {
  const AdamWFactors factors = factors_of(a.hyper);
  const AdamWArgs dense{
      .weight = a.weight, .m = a.m, .v = a.v, .weight_copy = a.weight_copy, .grad = a.grad, .hyper = a.hyper};
  const RowIds rows(a.rows);
  const int64_t C = a.weight.shape.back();
  const int64_t first = rows.lower_bound(a.first_row), last = rows.lower_bound(a.first_row + a.weight.shape.rows());
  with_moment_types(dense, [&]<class M, class V>() {
    parallel_for(last - first, 1 + 16384 / std::max<int64_t>(C, 1), [&](int64_t begin, int64_t end) {
      for (int64_t u = first + begin; u < first + end; ++u) {
        update_run<M, V>(dense, factors, (rows[u] - a.first_row) * C, u * C, C);
      }
    });
  });
}

}  // namespace birkhoff::cpu
