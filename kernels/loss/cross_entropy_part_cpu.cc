#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/seeded_defect.h"
#include "kernels/loss/cross_entropy_part.h"
#include "kernels/loss/loss_simd.h"

namespace birkhoff::cpu {
namespace {

const CrossEntropyRows& kernels() {
  static const auto kernels = on_best_isa([]<Isa isa>() { return cross_entropy_rows<isa>(); });
  return kernels;
}

int64_t rows_per_thread(int64_t V) { return 1 + 16384 / std::max<int64_t>(V, 1); }

template <class Args>
int32_t target_of(const Args& a, int64_t t) {
  const int32_t target = a.targets.template as<int32_t>()[t];
  BK_ASSERT(target >= -1 && target < a.vocabulary, "target ", target, " of a vocabulary of ", a.vocabulary);
  return target;
}

// A row's maximum, the sum of its exponentials below that, and the logit of its target.
struct Statistics {
  float max = -std::numeric_limits<float>::infinity(), sum = 0, target = 0;
};

// Of the whole vocabulary, from those of all parts. A part without ids adds 0 exp(-inf) = 0.
Statistics joined(const Tensor& statistics, int64_t t) {
  const int64_t n = statistics.shape[0], T = statistics.shape[1];
  const auto part = [&](int64_t i) { return statistics.f32() + (i * T + t) * 3; };
  Statistics all;
  for (int64_t i = 0; i < n; ++i) all.max = std::max(all.max, part(i)[0]);
  for (int64_t i = 0; i < n; ++i) {
    all.sum += part(i)[1] * std::exp(part(i)[0] - all.max);
    all.target += part(i)[2];
  }
  return all;
}

// log sum_v exp(logits[v]) of the part alone: what a defect takes for that of the whole vocabulary.
float log_sum_of_part(float* exps, const float* logits, int64_t V) {
  const float max = kernels().max(logits, V);
  return max + std::log(kernels().exps(exps, logits, max, V));
}

// The row's gradient, computed as in cross_entropy_cpu.cc. `at_target` is the target's place in the part; it is outside
// [0, V) if the part does not have it.
void row_gradient(const CrossEntropyPartArgs& a, int64_t t, int64_t at_target, const Statistics& all, float* exps) {
  const int64_t V = a.logits.shape[1];
  const float weight = a.weight.f32()[t], *logits = a.logits.f32() + t * V;
  float lse = all.max + std::log(all.sum);
  if (BK_DEFECT("D7 local lse in the z term") && V > 0) lse = log_sum_of_part(exps, logits, V);
  const float scale = weight * (1 + 2 * static_cast<float>(a.z_loss) * lse) / all.sum;
  kernels().exps(exps, logits, all.max, V);
  if (BK_DEFECT("D7 non-owners subtract") && V > 0) at_target = std::clamp<int64_t>(at_target, 0, V - 1);
  with_activation_type(a.dlogits.dtype, [&]<class E>() {
    E* d = a.dlogits.as<E>() + t * V;
    if constexpr (std::is_same_v<E, float>) {
      kernels().scale_f32(d, exps, scale, V);
    } else {
      kernels().scale_bf16(d, exps, scale, V);
    }
    if (at_target >= 0 && at_target < V) d[at_target] = E(exps[at_target] * scale - weight);
  });
}

void clear_row(const CrossEntropyPartArgs& a, int64_t t) {
  const int64_t V = a.logits.shape[1];
  if (a.nll.present()) a.nll.f32()[t] = 0;
  if (!a.dlogits.present()) return;
  with_activation_type(a.dlogits.dtype, [&]<class E>() { std::fill_n(a.dlogits.as<E>() + t * V, V, E(0.0f)); });
}

// Returns the row's weighted loss, whether it counts here or not.
double row(const CrossEntropyPartArgs& a, int64_t t, float* exps) {
  const int32_t target = target_of(a, t);
  if (target < 0) {
    clear_row(a, t);
    return 0;
  }
  const Statistics all = joined(a.statistics, t);
  const float log_sum = std::log(all.sum), lse = all.max + log_sum, nll = log_sum + (all.max - all.target);
  if (a.nll.present()) a.nll.f32()[t] = nll;
  if (a.dlogits.present()) row_gradient(a, t, target - a.first, all, exps);
  const float weight = a.weight.present() ? a.weight.f32()[t] : 0;
  const auto z_loss = static_cast<float>(a.z_loss);
  return static_cast<double>(weight) * (static_cast<double>(nll) + static_cast<double>(z_loss) * lse * lse);
}

}  // namespace

void cross_entropy_statistics(const CrossEntropyStatisticsArgs& a) {
  const int64_t T = a.logits.shape[0], V = a.logits.shape[1];
  parallel_for(T, rows_per_thread(V), [&](int64_t begin, int64_t end) {
    Scratch<float> exps(V);
    for (int64_t t = begin; t < end; ++t) {
      const float* logits = a.logits.f32() + t * V;
      const int64_t at_target = target_of(a, t) - a.first;
      Statistics s;
      if (V > 0) {
        s.max = kernels().max(logits, V);
        s.sum = kernels().exps(exps.data(), logits, s.max, V);
      }
      if (at_target >= 0 && at_target < V) s.target = logits[at_target];
      float* out = a.statistics.f32() + t * 3;
      out[0] = s.max, out[1] = s.sum, out[2] = s.target;
    }
  });
}

void cross_entropy_part(const CrossEntropyPartArgs& a) {
  const int64_t T = a.logits.shape[0], V = a.logits.shape[1];
  Scratch<double> losses(T);
  parallel_for(T, rows_per_thread(V), [&](int64_t begin, int64_t end) {
    Scratch<float> exps(V);
    for (int64_t t = begin; t < end; ++t) losses[t] = row(a, t, exps.data());
  });
  if (!a.loss.present()) return;
  double sum = 0;
  for (int64_t t = a.counted_begin; t < a.counted_begin + a.counted; ++t) sum += losses[t];
  a.loss.f32()[0] = static_cast<float>(static_cast<double>(a.loss.f32()[0]) + sum);
}

}  // namespace birkhoff::cpu
