#pragma once
// How products of the cpu device are cut for threads: by fixed tiles of rows, whatever the number of threads.
#include <algorithm>
#include <cstddef>

#include "kernels/core/cpu/matmul.h"
#include "kernels/core/cpu/parallel.h"

namespace birkhoff::cpu {

inline constexpr int64_t kTileRows = 64;

// Rows of the tile that begins at row `done` of `rows`: whole tiles, then a multiple of 16, then the rest. Few distinct
// sizes, since each costs its code.
inline int64_t tile_rows(int64_t done, int64_t rows) {
  const int64_t left = rows - done;
  return left >= kTileRows ? kTileRows : left >= 16 ? left / 16 * 16 : left;
}

// matmul() of shape.M rows, tile by tile, on the calling thread.
void matmul_tiles(Matmul shape, const MatmulOperands& operands);

// The same spread over the threads.
void matmul_rows(const Matmul& shape, const MatmulOperands& operands);

}  // namespace birkhoff::cpu
