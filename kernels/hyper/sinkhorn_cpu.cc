#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/hyper/hyper_simd.h"
#include "kernels/hyper/sinkhorn.h"

namespace birkhoff::cpu {
namespace {

constexpr int64_t kMatricesPerThread = 64;

const SinkhornRows& kernels() {
  static const SinkhornRows rows = on_best_isa([]<Isa isa>() { return sinkhorn_rows<isa>(); });
  return rows;
}

}  // namespace

void sinkhorn_forward(const SinkhornArgs& a) {
  const int64_t T = a.logits.shape[0], S = a.logits.shape[1], E = S * S;
  parallel_for(T, kMatricesPerThread, [&](int64_t begin, int64_t end) {
    Scratch<float> work(sinkhorn_work(S, a.options.iterations));
    kernels().forward(a.comb.f32() + begin * E, a.logits.f32() + begin * E, end - begin, S, a.options, work.data());
  });
}

void sinkhorn_backward(const SinkhornBackwardArgs& a) {
  const int64_t T = a.logits.shape[0], S = a.logits.shape[1], E = S * S;
  parallel_for(T, kMatricesPerThread, [&](int64_t begin, int64_t end) {
    Scratch<float> work(sinkhorn_work(S, a.options.iterations));
    kernels().backward(a.dlogits.f32() + begin * E, a.dcomb.f32() + begin * E, a.logits.f32() + begin * E, end - begin,
                       S, a.options, work.data());
  });
}

}  // namespace birkhoff::cpu
