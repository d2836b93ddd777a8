#include "kernels/hyper/coefficient_products.h"

#include <algorithm>

#include "kernels/core/cpu/convert.h"
#include "kernels/core/cpu/isa.h"
#include "kernels/core/cpu/matmul.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/gemm/gemm.h"
#include "kernels/hyper/hyper_simd.h"

namespace birkhoff::cpu {

void gemm(const GemmArgs&);

namespace {

constexpr int64_t kGrain = 16384;

bool splits(DType x) { return x == DType::bf16 && best_isa() == Isa::avx512_bf16; }

// Rounds up to whole registers: a product whose width is not a multiple of a register is slower than the next wider
// one.
int64_t padded(int64_t columns) { return (columns + 15) / 16 * 16; }

void split(bfloat16* high, bfloat16* low, const float* from, int64_t count) {
  static const auto split = on_best_isa([]<Isa isa>() { return hyper_coefficient_rows<isa, bfloat16>(); }).split;
  split(high, low, from, count);
}

// Calls body(first, count) for ranges of [0, count), spread over the threads.
template <class Body>
void for_ranges(int64_t count, Body body) {
  parallel_for(count, kGrain, [&](int64_t begin, int64_t end) { body(begin, end - begin); });
}

}  // namespace

FnProducts::FnProducts(Tensor fn, DType x)
    : x_(x),
      terms_(splits(x) ? 2 : 1),
      R_(fn.shape.rows()),
      N_(fn.shape.back()),
      columns_(padded(terms_ * R_)),
      packed_(static_cast<int64_t>(packed_bytes(terms_ == 2 ? DType::bf16 : DType::f32, N_, columns_))) {
  const float* from = fn.f32();
  const int64_t size = R_ * N_;
  if (terms_ == 2) {
    Scratch<bfloat16> rows(columns_ * N_);
    for_ranges(size, [&](int64_t i, int64_t n) { split(&rows[i], &rows[size + i], from + i, n); });
    std::fill(rows.data() + 2 * size, rows.data() + rows.size(), bfloat16());
    pack({N_, columns_, DType::bf16, DType::bf16, /*transposed=*/true}, packed_.data(), rows.data());
  } else {
    Scratch<float> rows(columns_ * N_);
    for_ranges(size, [&](int64_t i, int64_t n) { std::copy_n(from + i, n, &rows[i]); });
    std::fill(rows.data() + size, rows.data() + rows.size(), 0.0f);
    pack({N_, columns_, DType::f32, DType::f32, /*transposed=*/true}, packed_.data(), rows.data());
  }
}

int64_t FnProducts::tile_rows() const { return terms_ == 2 ? 16 : 64; }

void FnProducts::multiply(float* products, const void* x, int64_t rows) const {
  if (terms_ == 2) {
    return matmul({rows, columns_, N_, DType::bf16, DType::f32}, {products, x, packed_.data()});
  }
  Scratch<float> wide(x_ == DType::bf16 ? rows * N_ : 0);
  if (x_ == DType::bf16) convert(wide.data(), static_cast<const bfloat16*>(x), rows * N_);
  matmul({rows, columns_, N_, DType::f32, DType::f32}, {products, x_ == DType::bf16 ? wide.data() : x, packed_.data()});
}

bool add_fn_gradient(float* dfn, const float* draw, Tensor x, int64_t R) {
  const int64_t T = x.shape[0], N = x.count() / std::max<int64_t>(T, 1), columns = padded(2 * R);
  if (!splits(x.dtype) || T == 0) return false;
  Scratch<bfloat16> terms(T * columns, bfloat16());
  Scratch<float> products(N * columns);
  parallel_for(T, 1 + kGrain / columns, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) split(&terms[t * columns], &terms[t * columns + R], draw + t * R, R);
  });
  gemm({.c = {products.data(), DType::f32, {N, columns}},
        .a = x.view({T, N}),
        .b = {terms.data(), DType::bf16, {T, columns}},
        .transpose_a = true});
  constexpr int64_t kBlock = 64;  // rows of products that stay in the L1 cache
  parallel_for((N + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin * kBlock; first < std::min(end * kBlock, N); first += kBlock) {
      for (int64_t r = 0; r < R; ++r) {
        for (int64_t k = first; k < std::min(first + kBlock, N); ++k) {
          dfn[r * N + k] += products[k * columns + r] + products[k * columns + R + r];
        }
      }
    }
  });
  return true;
}

}  // namespace birkhoff::cpu
