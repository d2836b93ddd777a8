#include "kernels/gemm/fp8_gemm.h"

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/cpu/transpose.h"
#include "kernels/gemm/tiles.h"

namespace birkhoff::cpu {
namespace {

bfloat16 code_value(float value, float scale) { return bfloat16(e4m3_decode(e4m3_encode(value / scale))); }

// Ignores a NaN value: the scale stays finite, and the value's own code is NaN.
float larger(float amax, float value) { return std::max(amax, std::abs(value)); }

// Quantizes one block of at most 128 rows of x, scaled per column: codes [rows, columns], scales [columns].
void quantize_columns(bfloat16* codes, float* scales, const Fp8Source& x, ScaleFormat format) {
  std::fill_n(scales, x.columns, 0.0f);
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.columns; ++c) scales[c] = larger(scales[c], x.data[r * x.columns + c]);
  }
  for (int64_t c = 0; c < x.columns; ++c) scales[c] = fp8_scale(scales[c], format);
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.columns; ++c) codes[r * x.columns + c] = code_value(x.data[r * x.columns + c], scales[c]);
  }
}

// Calls body(block, rows of that block, scratch for its codes) for each block of 128 rows.
template <class Body>
void for_each_row_block(const Fp8Source& x, Body body) {
  parallel_for(fp8_blocks(x.rows), 1, [&](int64_t begin, int64_t end) {
    Scratch<bfloat16> codes(kFp8Block * x.columns);
    for (int64_t b = begin; b < end; ++b) {
      const Fp8Source part{x.data + b * kFp8Block * x.columns, fp8_depth(x.rows, b), x.columns};
      body(b, part, codes.data());
    }
  });
}

// A tile of a weight, at most 128x128, whose first element is (o, i).
struct WeightTile {
  int64_t o, i, rows, columns;
};

// Writes the codes of one tile to `codes`, with rows `stride` apart. Returns the scale.
float quantize_tile(bfloat16* codes, int64_t stride, const Fp8Weight& w, const WeightTile& t, ScaleFormat format) {
  float amax = 0;
  for (int64_t r = 0; r < t.rows; ++r) {
    for (int64_t c = 0; c < t.columns; ++c) amax = larger(amax, w.data[(t.o + r) * w.I + t.i + c]);
  }
  const float scale = fp8_scale(amax, format);
  for (int64_t r = 0; r < t.rows; ++r) {
    for (int64_t c = 0; c < t.columns; ++c) {
      codes[r * stride + c] = code_value(w.data[(t.o + r) * w.I + t.i + c], scale);
    }
  }
  return scale;
}

}  // namespace

size_t fp8_packed_stride(int64_t N) {
  return (packed_bytes(DType::bf16, kFp8Block, N) + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

void fp8_left_of_rows(const Fp8Left& out, const Fp8Source& x, ScaleFormat format) {
  parallel_for(x.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t b = 0; b < fp8_blocks(x.columns); ++b) {
        const int64_t depth = fp8_depth(x.columns, b);
        const bfloat16* in = x.data + r * x.columns + b * kFp8Block;
        bfloat16* codes = out.codes + x.rows * b * kFp8Block + r * depth;
        float amax = 0;
        for (int64_t k = 0; k < depth; ++k) amax = larger(amax, in[k]);
        const float scale = fp8_scale(amax, format);
        for (int64_t k = 0; k < depth; ++k) codes[k] = code_value(in[k], scale);
        out.scales[b * x.rows + r] = scale;
      }
    }
  });
}

void fp8_left_of_columns(const Fp8Left& out, const Fp8Source& x, ScaleFormat format) {
  for_each_row_block(x, [&](int64_t b, const Fp8Source& part, bfloat16* codes) {
    quantize_columns(codes, out.scales + b * x.columns, part, format);
    transpose({part.rows, x.columns, DType::bf16}, out.codes + b * kFp8Block * x.columns, codes);
  });
}

void fp8_right_of_columns(const Fp8Right& out, const Fp8Source& x, ScaleFormat format) {
  const size_t stride = fp8_packed_stride(x.columns);
  for_each_row_block(x, [&](int64_t b, const Fp8Source& part, bfloat16* codes) {
    quantize_columns(codes, out.scales + b * x.columns, part, format);
    pack({part.rows, x.columns, DType::bf16, DType::bf16}, out.packed + static_cast<size_t>(b) * stride, codes);
  });
}

void fp8_right_of_weight_transposed(const Fp8Right& out, const Fp8Weight& w, ScaleFormat format) {
  const size_t stride = fp8_packed_stride(w.O);
  parallel_for(fp8_blocks(w.I), 1, [&](int64_t begin, int64_t end) {
    Scratch<bfloat16> codes(w.O * kFp8Block);
    for (int64_t b = begin; b < end; ++b) {
      const int64_t depth = fp8_depth(w.I, b);
      for (int64_t o = 0; o < w.O; o += kFp8Block) {
        const WeightTile tile{o, b * kFp8Block, std::min(kFp8Block, w.O - o), depth};
        std::fill_n(out.scales + b * w.O + o, tile.rows, quantize_tile(&codes[o * depth], depth, w, tile, format));
      }
      pack({depth, w.O, DType::bf16, DType::bf16, /*transposed=*/true}, out.packed + static_cast<size_t>(b) * stride,
           codes.data());
    }
  });
}

void fp8_right_of_weight(const Fp8Right& out, const Fp8Weight& w, ScaleFormat format) {
  const size_t stride = fp8_packed_stride(w.I);
  parallel_for(fp8_blocks(w.O), 1, [&](int64_t begin, int64_t end) {
    Scratch<bfloat16> codes(w.I * kFp8Block);
    for (int64_t b = begin; b < end; ++b) {
      const int64_t depth = fp8_depth(w.O, b);
      for (int64_t i = 0; i < w.I; i += kFp8Block) {
        const WeightTile tile{b * kFp8Block, i, depth, std::min(kFp8Block, w.I - i)};
        std::fill_n(out.scales + b * w.I + i, tile.columns, quantize_tile(&codes[i], w.I, w, tile, format));
      }
      pack({depth, w.I, DType::bf16, DType::bf16}, out.packed + static_cast<size_t>(b) * stride, codes.data());
    }
  });
}

void fp8_gemm(const Fp8Gemm& s, void* c, const Fp8Left& a, const Fp8Right& b) {
  const int64_t tiles = (s.M + kTileRows - 1) / kTileRows;
  const size_t stride = fp8_packed_stride(s.N);
  parallel_for(tiles, 1, [&](int64_t begin, int64_t end) {
    Scratch<float> block(kTileRows * s.N), sum(kTileRows * s.N);
    for (int64_t m0 = begin * kTileRows; m0 < std::min(end * kTileRows, s.M); m0 += kTileRows) {
      const int64_t rows = std::min(kTileRows, s.M - m0);
      std::fill_n(sum.data(), rows * s.N, 0.0f);
      for (int64_t k = 0; k < fp8_blocks(s.K); ++k) {
        const int64_t depth = fp8_depth(s.K, k);
        matmul_tiles(
            {rows, s.N, depth, DType::bf16, DType::f32},
            {block.data(), a.codes + s.M * k * kFp8Block + m0 * depth, b.packed + static_cast<size_t>(k) * stride});
        const float* scale_b = b.scales + k * s.N;
        for (int64_t m = 0; m < rows; ++m) {
          const float scale_a = a.scales[k * s.M + m0 + m];
          for (int64_t n = 0; n < s.N; ++n) sum[m * s.N + n] += block[m * s.N + n] * (scale_a * scale_b[n]);
        }
      }
      for (int64_t i = 0; i < rows * s.N; ++i) {
        const int64_t at = m0 * s.N + i;
        if (s.out == DType::bf16)
          static_cast<bfloat16*>(c)[at] = bfloat16(sum[i]);
        else if (s.accumulate)
          static_cast<float*>(c)[at] += sum[i];
        else
          static_cast<float*>(c)[at] = sum[i];
      }
    }
  });
}

}  // namespace birkhoff::cpu
