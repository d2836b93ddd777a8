#pragma once
// The engine under every matrix product of the cpu device: single-threaded products of a tile of rows with a packed
// matrix. Callers spread tiles over threads, in sizes that do not depend on the number of threads; so neither do sums.
//
// matmul_onednn.cc is the engine proper and the only file that includes oneDNN; matmul_portable.cc stands in for it in
// a thread-sanitizer build, which cannot see into generated code.
#include <compare>
#include <cstddef>
#include <cstdint>

#include "kernels/core/dtype.h"

namespace birkhoff::cpu {

// c[M,N] = a[M,K] b[K,N] (+ bias[N]), or c += with accumulate (out f32 only). a and b are f32 or bf16 (`in`), c f32 or,
// for bf16 operands, bf16 (`out`); sums in f32, one rounding. b is packed as a [K, N] matrix of `in`. M, N, K > 0.
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
// Runs on the calling thread alone. A new shape costs a fraction of a millisecond (code is generated), so callers keep
// to few shapes.
void matmul(const Matmul& shape, const MatmulOperands& operands);

// A matrix [K, N] in the layout matmul() wants, which depends on K, N, dtype and processor only.
struct Packing {
  int64_t K, N;
  DType from, to;           // of the source and of the products; f32 to bf16 rounds
  bool transposed = false;  // the source is stored [N, K]
  auto operator<=>(const Packing&) const = default;
};
size_t packed_bytes(DType to, int64_t K, int64_t N);
// 64-byte aligned `packed`. Uses the threads of the caller's team.
void pack(const Packing& packing, void* packed, const void* source);

}  // namespace birkhoff::cpu
