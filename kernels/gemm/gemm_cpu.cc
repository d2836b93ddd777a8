#include "kernels/core/cpu/scratch.h"
#include "kernels/core/cpu/transpose.h"
#include "kernels/gemm/shapes.h"
#include "kernels/gemm/tiles.h"

namespace birkhoff::cpu {
namespace {

// c = a^T b. Each tile of rows of c transposes its own columns of a, which are then still in the cache for the product.
void multiply_transposed(const GemmArgs& a, const GemmSizes& s, const std::byte* packed_b) {
  const DType in = a.a.dtype;
  const auto size = static_cast<int64_t>(size_of(in));
  parallel_for((s.M + kTileRows - 1) / kTileRows, 1, [&](int64_t begin, int64_t end) {
    Scratch<std::byte> turned(kTileRows * s.K * size);
    for (int64_t m = begin * kTileRows; m < std::min(end * kTileRows, s.M); m += kTileRows) {
      const int64_t rows = std::min(kTileRows, s.M - m);
      transpose({s.K, rows, in, s.M}, turned.data(), static_cast<const std::byte*>(a.a.data) + m * size);
      matmul_tiles({rows, s.N, s.K, in, a.c.dtype, a.accumulate},
                   {static_cast<std::byte*>(a.c.data) + m * s.N * static_cast<int64_t>(size_of(a.c.dtype)),
                    turned.data(), packed_b});
    }
  });
}

}  // namespace

void gemm(const GemmArgs& a) {
  const GemmSizes s = sizes_of(a);
  const DType in = a.a.dtype;
  Scratch<std::byte> packed(static_cast<int64_t>(packed_bytes(in, s.K, s.N)));
  pack({s.K, s.N, in, in, a.transpose_b}, packed.data(), a.b.data);
  if (a.transpose_a) return multiply_transposed(a, s, packed.data());
  matmul_rows({s.M, s.N, s.K, in, a.c.dtype, a.accumulate}, {a.c.data, a.a.data, packed.data()});
}

}  // namespace birkhoff::cpu
