#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Row kernels of the activations for one instruction set.
template <class T>
struct ActivationRows {
  // One row: y [F] from x [2F]; limit is infinite for no clamp. The backward returns sum_f dy silu(g) u.
  void (*swiglu)(T* y, const T* x, float scale, float limit, int64_t F);
  float (*swiglu_backward)(T* dx, const T* dy, const T* x, float scale, float limit, int64_t F);
  void (*gelu)(T* y, const T* x, int64_t n);
  void (*gelu_backward)(T* dx, const T* dy, const T* x, int64_t n);
};
template <Isa isa, class T>
ActivationRows<T> activation_rows();

template <class T>
const ActivationRows<T>& best_activation_rows() {
  static const auto rows = on_best_isa([]<Isa isa>() { return activation_rows<isa, T>(); });
  return rows;
}

}  // namespace birkhoff::cpu
