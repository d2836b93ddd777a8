#pragma once
// Divides products of the cpu device among threads, in tiles of rows whose sizes do not depend on the number of
// threads.
#include <algorithm>
#include <cstddef>

#include "kernels/core/cpu/matmul.h"
#include "kernels/core/cpu/parallel.h"

namespace birkhoff::cpu {

inline constexpr int64_t kTileRows = 64;

// Rows of the tile that begins at row `done` of `rows`: first whole tiles, then a multiple of 16, then the rest. This
// gives few different sizes, each of which needs generated code.
inline int64_t tile_rows(int64_t done, int64_t rows) {
  const int64_t left = rows - done;
  return left >= kTileRows ? kTileRows : left >= 16 ? left / 16 * 16 : left;
}

// matmul() of shape.M rows, tile by tile, on the calling thread.
void matmul_tiles(Matmul shape, const MatmulOperands& operands);

// The same, divided among the threads.
void matmul_rows(const Matmul& shape, const MatmulOperands& operands);

}  // namespace birkhoff::cpu
