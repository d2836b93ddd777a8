#include "kernels/attention/attention_simd.h"
#include "kernels/attention/mla_heads.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"

namespace birkhoff::cpu {
namespace {

MlaSizes sizes(Tensor k, Tensor v, Tensor k_rope) {
  const int64_t R = k_rope.shape.back();
  return {k.shape[1], k.shape[2] - R, R, v.shape[2]};
}

// Calls body(kernels, token) for each token.
template <class T, class Body>
void for_tokens(int64_t count, Body body) {
  static const auto kernels = on_best_isa([]<Isa isa>() { return mla_heads_token<isa, T>(); });
  parallel_for(count, 4, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) body(kernels, t);
  });
}

}  // namespace

void mla_heads_forward(const MlaHeadsArgs& a) {
  const MlaSizes n = sizes(a.k, a.v, a.k_rope);
  with_activation_type(a.k.dtype, [&]<class T>() {
    for_tokens<T>(a.k.shape[0], [&](const MlaHeads<T>& kernels, int64_t t) {
      kernels.join(a.k.as<T>() + t * n.H * (n.N + n.R), a.v.as<T>() + t * n.H * n.V,
                   a.kv.as<T>() + t * n.H * (n.N + n.V), a.k_rope.as<T>() + t * n.R, n);
    });
  });
}

void mla_heads_backward(const MlaHeadsBackwardArgs& a) {
  const MlaSizes n = sizes(a.dk, a.dv, a.dk_rope);
  with_activation_type(a.dk.dtype, [&]<class T>() {
    for_tokens<T>(a.dk.shape[0], [&](const MlaHeads<T>& kernels, int64_t t) {
      kernels.split(a.dkv.as<T>() + t * n.H * (n.N + n.V), a.dk_rope.as<T>() + t * n.R,
                    a.dk.as<T>() + t * n.H * (n.N + n.R), a.dv.as<T>() + t * n.H * n.V, n);
    });
  });
}

}  // namespace birkhoff::cpu
