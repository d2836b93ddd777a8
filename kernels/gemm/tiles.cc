#include "kernels/gemm/tiles.h"

namespace birkhoff::cpu {
namespace {

// The operands of the product whose first row is row m.
MatmulOperands from_row(MatmulOperands o, const Matmul& shape, int64_t m) {
  o.c = static_cast<std::byte*>(o.c) + m * shape.N * static_cast<int64_t>(size_of(shape.out));
  o.a = static_cast<const std::byte*>(o.a) + m * shape.K * static_cast<int64_t>(size_of(shape.in));
  return o;
}

}  // namespace

void matmul_tiles(Matmul shape, const MatmulOperands& operands) {
  const int64_t rows = shape.M;
  for (int64_t m = 0; m < rows; m += shape.M) {
    shape.M = tile_rows(m, rows);
    matmul(shape, from_row(operands, shape, m));
  }
}

void matmul_rows(const Matmul& shape, const MatmulOperands& operands) {
  const int64_t tiles = (shape.M + kTileRows - 1) / kTileRows;
  parallel_for(tiles, 1, [&](int64_t begin, int64_t end) {
    const int64_t m = begin * kTileRows;
    Matmul part = shape;
    part.M = std::min(end * kTileRows, shape.M) - m;
    matmul_tiles(part, from_row(operands, shape, m));
  });
}

}  // namespace birkhoff::cpu
