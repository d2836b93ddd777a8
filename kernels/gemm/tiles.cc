#include "kernels/gemm/tiles.h"

namespace birkhoff::cpu {

void matmul_tiles(Matmul shape, void* c, const void* a, const void* packed_b) {
  const int64_t rows = shape.M;
  const int64_t c_row = shape.N * static_cast<int64_t>(size_of(shape.out));
  const int64_t a_row = shape.K * static_cast<int64_t>(size_of(shape.in));
  for (int64_t m = 0; m < rows; m += shape.M) {
    shape.M = tile_rows(m, rows);
    matmul(shape, static_cast<std::byte*>(c) + m * c_row, static_cast<const std::byte*>(a) + m * a_row, packed_b);
  }
}

void matmul_rows(const Matmul& shape, void* c, const void* a, const void* packed_b) {
  const int64_t c_row = shape.N * static_cast<int64_t>(size_of(shape.out));
  const int64_t a_row = shape.K * static_cast<int64_t>(size_of(shape.in));
  const int64_t tiles = (shape.M + kTileRows - 1) / kTileRows;
  parallel_for(tiles, 1, [&](int64_t begin, int64_t end) {
    const int64_t m = begin * kTileRows;
    Matmul part = shape;
    part.M = std::min(end * kTileRows, shape.M) - m;
    matmul_tiles(part, static_cast<std::byte*>(c) + m * c_row, static_cast<const std::byte*>(a) + m * a_row, packed_b);
  });
}

}  // namespace birkhoff::cpu
