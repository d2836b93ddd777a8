#pragma once
#include <cstdint>

#include "kernels/core/dtype.h"

namespace birkhoff::cpu {

// to[c,r] = from[r,c] for a [rows, columns] matrix of f32 or bf16, or for `columns` neighboring columns of a wider
// matrix. Uses the threads of the caller's team.
struct Transpose {
  int64_t rows, columns;
  DType dtype;
  int64_t stride = columns;  // elements from one row of `from` to the next
};
void transpose(const Transpose& shape, void* to, const void* from);

}  // namespace birkhoff::cpu
