#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Row kernels of the short convolution for one instruction set, for the C channels of one stream of one token; or for
// any number of channels where no factor of a stream takes part.
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

}  // namespace birkhoff::cpu
