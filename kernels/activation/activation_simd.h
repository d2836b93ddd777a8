#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// gelu over `count` values, for one instruction set.
template <class T>
struct GeluValues {
  void (*forward)(T* y, const T* x, int64_t count);
  void (*backward)(T* dx, const T* dy, const T* x, int64_t count);
};
template <Isa isa, class T>
GeluValues<T> gelu_values();

// Row kernels of swiglu for one instruction set: x and dx hold 2 F values, y and dy F. An infinite `clamp` disables
// clamping.
template <class T>
struct SwigluRow {
  void (*forward)(T* y, const T* x, float scale, float clamp, int64_t F);
  // Returns the gradient of the scale.
  float (*backward)(T* dx, const T* dy, const T* x, float scale, float clamp, int64_t F);
};
template <Isa isa, class T>
SwigluRow<T> swiglu_row();

}  // namespace birkhoff::cpu
