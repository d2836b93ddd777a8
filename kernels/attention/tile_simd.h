#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Keys of a tile, and what every width in scratch memory is rounded up to.
inline constexpr int64_t kTileKeys = 64, kTileQueries = 64, kLanes = 16;

// c[m,n] (+)= sum_k a(m,k) b[k,n], a(m,k) at a[m * a_row + k * a_column]. N is a multiple of kLanes.
struct TileGemm {
  float* c;
  int64_t c_row;
  const float* a;
  int64_t a_row, a_column;
  const float* b;
  int64_t b_row;
  int64_t M, N, K;
  bool accumulate;
};

// One tile of scores: `rows` queries by kTileKeys keys; in row r keys [low[r], high[r]) are visible.
struct ScoreTile {
  float* s;  // [rows, kTileKeys]
  const int32_t *low, *high;
  int64_t rows;
  float scale;
};

struct AttentionTiles {
  void (*gemm)(const TileGemm&);
  // s becomes exp(scale s - new maximum), 0 where masked; maximum and sum are brought up to date; correction[r] is what
  // the row's earlier results are to be multiplied by.
  void (*online_softmax)(const ScoreTile&, float* maximum, float* sum, float* correction);
  // s becomes exp(scale s - lse), 0 where masked.
  void (*probabilities)(const ScoreTile&, const float* lse);
  // dp becomes scale p (dp - delta).
  void (*score_gradient)(float* dp, const float* p, const float* delta, float scale, int64_t rows);
  void (*scale_rows)(float* x, int64_t x_row, const float* factor, int64_t rows, int64_t n);
};
template <Isa isa>
AttentionTiles attention_tiles();

}  // namespace birkhoff::cpu
