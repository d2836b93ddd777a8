#include <algorithm>
#include <cmath>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/loss/cross_entropy.h"
#include "kernels/loss/loss_simd.h"

namespace birkhoff::cpu {
namespace {

const CrossEntropyRows& kernels() {
  static const auto kernels = on_best_isa([]<Isa isa>() { return cross_entropy_rows<isa>(); });
  return kernels;
}

// d = scale * exps: dlogits of one row, except at the target. The caller computes the target's element from a
// difference in f32, so that it is rounded only once.
template <class E>
void row_gradient(E* d, const float* exps, float scale, int64_t V) {
  if constexpr (std::is_same_v<E, float>) {
    kernels().scale_f32(d, exps, scale, V);
  } else {
    kernels().scale_bf16(d, exps, scale, V);
  }
}

// Returns the row's weighted loss.
double row(const CrossEntropyArgs& a, int64_t t, float* exps) {
  const int64_t V = a.logits.shape.back();
  const float* logits = a.logits.f32() + t * V;
  const int32_t target = a.targets.as<int32_t>()[t];
  BK_ASSERT(target >= -1 && target < V, "target ", target, " of a vocabulary of ", V);
  if (target < 0) {
    if (a.nll.present()) a.nll.f32()[t] = 0;
    if (a.dlogits.present())
      with_activation_type(a.dlogits.dtype, [&]<class E>() { std::fill_n(a.dlogits.as<E>() + t * V, V, E(0.0f)); });
    return 0;
  }
  const float max = kernels().max(logits, V), sum = kernels().exps(exps, logits, max, V);
  const float log_sum = std::log(sum), lse = max + log_sum, nll = log_sum + (max - logits[target]);
  if (a.nll.present()) a.nll.f32()[t] = nll;
  const float weight = a.weight.present() ? a.weight.f32()[t] : 0;
  const auto z_loss = static_cast<float>(a.z_loss);
  if (a.dlogits.present()) {
    const float scale = weight * (1 + 2 * z_loss * lse) / sum, at_target = exps[target] * scale - weight;
    with_activation_type(a.dlogits.dtype, [&]<class E>() {
      E* d = a.dlogits.as<E>() + t * V;
      row_gradient(d, exps, scale, V);
      d[target] = E(at_target);
    });
  }
  return static_cast<double>(weight) * (static_cast<double>(nll) + static_cast<double>(z_loss) * lse * lse);
}

}  // namespace

void cross_entropy(const CrossEntropyArgs& a) {
  const int64_t T = a.logits.shape.rows(), V = a.logits.shape.back();
  Scratch<double> losses(T);
  parallel_for(T, 1 + 16384 / V, [&](int64_t begin, int64_t end) {
    Scratch<float> exps(V);
    for (int64_t t = begin; t < end; ++t) losses[t] = row(a, t, exps.data());
  });
  if (!a.loss.present()) return;
  double sum = 0;
  for (int64_t t = 0; t < T; ++t) sum += losses[t];
  a.loss.f32()[0] = static_cast<float>(static_cast<double>(a.loss.f32()[0]) + sum);
}

}  // namespace birkhoff::cpu
