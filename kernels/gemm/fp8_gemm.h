#pragma once
// Block-scaled products of E4M3 codes, emulated on the cpu device. With depth blocks b of 128 along K:
//   c[m,n] = sum_b (sum_{k in b} a[m,k] b[k,n]) (scale_a[b,m] scale_b[b,n])        (+ c[m,n] with accumulate)
// a and b hold the values of codes. Each block's sum is f32, and blocks are added in f32, in order. Every E4M3 value is
// exact in bf16, so codes are held as bf16, and the ordinary bf16 matrix product computes a block's sum.
// The last block is shorter if K is not a multiple of 128.
// Source:  DeepSeek-V3 report, arXiv:2412.19437, section 3.3: operands 1x128 along K, weights 128x128.
#include <algorithm>
#include <cstddef>

#include "kernels/core/bfloat16.h"
#include "kernels/core/dtype.h"
#include "kernels/gemm/fp8.h"

namespace birkhoff::cpu {

inline constexpr int64_t kFp8Block = 128;
inline int64_t fp8_blocks(int64_t K) { return (K + kFp8Block - 1) / kFp8Block; }
inline int64_t fp8_depth(int64_t K, int64_t block) { return std::min(kFp8Block, K - block * kFp8Block); }

// codes: block after block, each [M, depth]; scales [blocks, M].
struct Fp8Left {
  bfloat16* codes;
  float* scales;
};
// packed: block after block, each a packed [depth, N] at a multiple of fp8_packed_stride(N); scales [blocks, N].
struct Fp8Right {
  std::byte* packed;
  float* scales;
};
size_t fp8_packed_stride(int64_t N);

struct Fp8Gemm {
  int64_t M, N, K;
  DType out;
  bool accumulate = false;  // out f32 only
};
void fp8_gemm(const Fp8Gemm& shape, void* c, const Fp8Left& a, const Fp8Right& b);

// A matrix [rows, columns] of bf16 activations.
struct Fp8Source {
  const bfloat16* data;
  int64_t rows, columns;
};
// Makes the left operand x, with M = rows, K = columns. Each run of 128 columns in a row has one scale.
void fp8_left_of_rows(const Fp8Left& out, const Fp8Source& x, ScaleFormat format);
// Makes the left operand x^T, with M = columns, K = rows. Each run of 128 rows in a column has one scale.
void fp8_left_of_columns(const Fp8Left& out, const Fp8Source& x, ScaleFormat format);
// Makes the right operand x, with N = columns, K = rows. Each run of 128 rows in a column has one scale.
void fp8_right_of_columns(const Fp8Right& out, const Fp8Source& x, ScaleFormat format);
// A master weight [O, I]. Each 128x128 tile has one scale. It becomes the right operand w^T, with N = O, K = I, or the
// right operand w, with N = I, K = O.
struct Fp8Weight {
  const float* data;
  int64_t O, I;
};
void fp8_right_of_weight_transposed(const Fp8Right& out, const Fp8Weight& w, ScaleFormat format);
void fp8_right_of_weight(const Fp8Right& out, const Fp8Weight& w, ScaleFormat format);

}  // namespace birkhoff::cpu
