#pragma once
// Matrix products of the cpu device, except those inside the attention kernels. Each call multiplies a tile of rows by
// a packed matrix, on one thread. Callers distribute tiles over threads. Tile sizes do not depend on the number of
// threads, so neither do results.
//
// matmul_onednn.cc is the usual implementation and the only file that includes oneDNN. A thread-sanitizer build uses
// matmul_portable.cc instead, because the sanitizer cannot see into generated code.
#include <compare>
#include <cstddef>
#include <cstdint>

#include "kernels/core/dtype.h"

namespace birkhoff::cpu {

// c[M,N] = a[M,K] b[K,N] (+ bias[N]), or c += with accumulate, which requires out = f32. `in` is the dtype of a and b,
// f32 or bf16. `out` is the dtype of c: f32, or bf16 if `in` is bf16. Sums are kept in f32 and rounded once. b must be
// packed as a [K, N] matrix of dtype `in`. M, N, K > 0.
struct Matmul {
  int64_t M, N, K;
  DType in, out;
  bool accumulate = false;
  auto operator<=>(const Matmul&) const = default;
};
struct MatmulOperands {
  void* c;
  const void *a, *packed_b;
  const float* bias = nullptr;
};
// Runs on the calling thread alone. The first call with a new shape generates code, which takes a fraction of a
// millisecond, so callers should use few shapes.
void matmul(const Matmul& shape, const MatmulOperands& operands);

// Packs a matrix [K, N] into the layout that matmul() expects. The layout depends only on K, N, dtype and processor.
struct Packing {
  int64_t K, N;
  DType from, to;           // dtypes of the source and of the packed matrix; f32 to bf16 rounds
  bool transposed = false;  // the source is stored [N, K]
  auto operator<=>(const Packing&) const = default;
};
size_t packed_bytes(DType to, int64_t K, int64_t N);
// `packed` must be 64-byte aligned. Uses the threads of the caller's team.
void pack(const Packing& packing, void* packed, const void* source);

}  // namespace birkhoff::cpu
