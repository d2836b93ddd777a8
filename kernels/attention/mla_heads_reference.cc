#include "kernels/attention/mla_heads.h"

namespace birkhoff::reference {

void mla_heads_forward(const MlaHeadsArgs& a) {
  const int64_t H = a.k.shape[1], D = a.k.shape[2], R = a.k_rope.shape.back(), N = D - R, V = a.v.shape[2];
  for (int64_t row = 0; row < a.k.shape[0] * H; ++row) {
    const double *kv = a.kv.as<double>() + row * (N + V), *k_rope = a.k_rope.as<double>() + row / H * R;
    for (int64_t d = 0; d < D; ++d) a.k.as<double>()[row * D + d] = d < N ? kv[d] : k_rope[d - N];
    for (int64_t d = 0; d < V; ++d) a.v.as<double>()[row * V + d] = kv[N + d];
  }
}

void mla_heads_backward(const MlaHeadsBackwardArgs& a) {
  const int64_t H = a.dk.shape[1], D = a.dk.shape[2], R = a.dk_rope.shape.back(), N = D - R, V = a.dv.shape[2];
  for (int64_t i = 0; i < a.dk_rope.count(); ++i) a.dk_rope.as<double>()[i] = 0;
  for (int64_t row = 0; row < a.dk.shape[0] * H; ++row) {
    const double *dk = a.dk.as<double>() + row * D, *dv = a.dv.as<double>() + row * V;
    double* dkv = a.dkv.as<double>() + row * (N + V);
    for (int64_t d = 0; d < N + V; ++d) dkv[d] = d < N ? dk[d] : dv[d - N];
    for (int64_t r = 0; r < R; ++r) a.dk_rope.as<double>()[row / H * R + r] += dk[N + r];
  }
}

}  // namespace birkhoff::reference
