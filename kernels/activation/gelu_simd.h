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

}  // namespace birkhoff::cpu
