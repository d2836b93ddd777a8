#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Adds the digits of the squares of a run of elements (exact_squares.h).
template <class T>
using AddSquares = void (*)(const T* x, int64_t count, double* digits);
template <Isa isa, class T>
AddSquares<T> squares_run();

// Reductions of a run of elements for one instruction set; T is float, bfloat16 or double. abs_max is NaN if any
// element is NaN.
template <class T>
struct ReduceRun {
  double (*sum_of_squares)(const T* x, int64_t count);
  double (*abs_max)(const T* x, int64_t count);
};
template <Isa isa, class T>
ReduceRun<T> reduce_run();

}  // namespace birkhoff::cpu
