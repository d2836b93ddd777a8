#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Row kernels of the short convolution for one instruction set. Functions with the parameter C process the C channels
// of one stream of one token. Functions with the parameter `count` work channel by channel, so they process any number
// of channels.
template <class T>
struct EngramConvRows {
  // 1 / sqrt(mean(x^2) + eps)
  float (*rstd)(const T* x, int64_t C, float eps);
  // z += rstd * x * w
  void (*add_tap)(float* z, const T* x, const float* w, float rstd, int64_t C);
  // out += silu(z)
  void (*add_silu)(T* out, const float* z, int64_t count);
  // z = dout * silu'(z)
  void (*silu_gradient)(float* z, const T* dout, int64_t count);
  // dn += dz * w
  void (*add_product)(float* dn, const float* dz, const float* w, int64_t count);
  // dx = rstd * (dn gain - x rstd^2 mean(dn gain x))
  void (*input_gradient)(T* dx, const float* dn, const T* x, const float* gain, float rstd, int64_t C);
};
template <Isa isa, class T>
EngramConvRows<T> engram_conv_rows();

// Row kernels of the gate for one instruction set. A row is one stream of one token; w = w_h w_k.
struct EngramScore {
  float score, rstd_h, rstd_k;
};
template <class T>
struct EngramGateRow {
  EngramScore (*score)(const T* h, const T* k, const float* w, int64_t C, float eps);
  // out = h + gate v, value = gate v if not null.
  void (*write)(T* out, T* value, const T* h, const T* v, float gate, int64_t C);
  // With d = dout + dvalue (or dout, if dvalue is null): dv += gate d; returns <d, v>.
  float (*value_backward)(float* dv, const T* dout, const T* dvalue, const T* v, float gate, int64_t C);
  // dh = dout + dscore d(score)/dh, dk = dscore d(score)/dk, dw += dscore d(score)/dw.
  void (*score_backward)(T* dh, T* dk, float* dw, const T* dout, const T* h, const T* k, const float* w,
                         EngramScore saved, float dscore, int64_t C);
};
template <Isa isa, class T>
EngramGateRow<T> engram_gate_row();

}  // namespace birkhoff::cpu
