#include <cstring>

#include "kernels/core/cpu/scratch.h"
#include "kernels/core/cpu/transpose.h"
#include "kernels/core/error.h"
#include "kernels/gemm/grouped_gemm.h"
#include "kernels/gemm/grouped_tiles.h"

namespace birkhoff::cpu {
namespace {

// A weight gradient contracts at most kMaxDepth rows at once, padded to a multiple of kDepthStep. Both bound the number
// of different shapes, each of which needs generated code.
constexpr int64_t kMaxDepth = 1024, kDepthStep = 32;

int64_t bytes_of(DType dtype, int64_t count) { return count * static_cast<int64_t>(size_of(dtype)); }

// Rows [row, row + rows) of one expert that are contracted at once, padded with zeros to `depth` rows. `place` is the
// number of padded rows in the segments before it, which gives the position of its operands in the buffers.
struct Segment {
  int64_t expert, row, rows, depth, place;
};

int64_t max_segments(const Groups& g) { return g.rows() / kMaxDepth + g.num; }

// Cuts the experts' rows into segments and returns their number.
int64_t cut(const Groups& g, Segment* out) {
  int64_t count = 0, place = 0;
  for (int64_t e = 0; e < g.num; ++e) {
    for (int64_t row = g.starts[e]; row < g.starts[e + 1]; row += kMaxDepth) {
      const int64_t rows = std::min(kMaxDepth, g.starts[e + 1] - row);
      const int64_t depth = (rows + kDepthStep - 1) / kDepthStep * kDepthStep;
      out[count++] = {e, row, rows, depth, place};
      place += depth;
    }
  }
  return count;
}

// The rows of a segment followed by zeros: in place if no padding is needed, otherwise copied to `padded`.
const std::byte* padded_rows(const Segment& s, Tensor from, std::byte* padded) {
  const int64_t row_bytes = bytes_of(from.dtype, from.shape.back());
  const std::byte* rows = static_cast<const std::byte*>(from.data) + s.row * row_bytes;
  if (s.rows == s.depth) return rows;
  std::memcpy(padded, rows, static_cast<size_t>(s.rows * row_bytes));
  std::memset(padded + s.rows * row_bytes, 0, static_cast<size_t>((s.depth - s.rows) * row_bytes));
  return padded;
}

}  // namespace

Groups groups_of(Tensor offsets, int64_t rows) {
  const Groups g{offsets.as<int64_t>(), offsets.shape[0] - 1};
  BK_ASSERT(g.starts[0] == 0, g.starts[0]);
  for (int64_t e = 0; e < g.num; ++e) BK_ASSERT(g.rows_of(e) >= 0, "expert ", e);
  BK_ASSERT(g.rows() <= rows, g.rows(), " rows of experts in ", rows);
  return g;
}

void matmul_groups(const Matmul& shape, const Groups& groups, void* c, const void* a, const PackedGroups& b) {
  struct Tile {
    int64_t expert, row, rows;
  };
  Scratch<Tile> tiles(groups.rows() / kTileRows + groups.num);
  int64_t count = 0;
  for (int64_t e = 0; e < groups.num; ++e) {
    for (int64_t row = groups.starts[e]; row < groups.starts[e + 1]; row += kTileRows) {
      tiles[count++] = {e, row, std::min(kTileRows, groups.starts[e + 1] - row)};
    }
  }
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Matmul part = shape;
      part.M = tiles[i].rows;
      matmul_tiles(part,
                   {static_cast<std::byte*>(c) + tiles[i].row * bytes_of(shape.out, shape.N),
                    static_cast<const std::byte*>(a) + tiles[i].row * bytes_of(shape.in, shape.K),
                    static_cast<const std::byte*>(b.packed) + static_cast<size_t>(tiles[i].expert) * b.stride_bytes});
    }
  });
}

namespace {

// y[r,:] = x[r,:] op(weight[e]). Packs the weights.
void multiply_groups(Tensor y, Tensor x, Tensor weight, Tensor offsets, bool transposed) {
  const int64_t E = weight.shape[0], K = x.shape.back(), N = y.shape.back();
  if (K == 0 || N == 0) {
    if (y.count() > 0) std::memset(y.data, 0, y.bytes());
    return;
  }
  const DType in = x.dtype;
  const size_t stride = packed_bytes(in, K, N);
  Scratch<std::byte> packed(E * static_cast<int64_t>(stride));
  for (int64_t e = 0; e < E; ++e) {
    pack({K, N, in, in, transposed}, packed.data() + static_cast<size_t>(e) * stride,
         static_cast<const std::byte*>(weight.data) + bytes_of(in, e * K * N));
  }
  matmul_groups({0, N, K, in, y.dtype}, groups_of(offsets, x.shape.rows()), y.data, x.data, {packed.data(), stride});
}

}  // namespace

void grouped_gemm(const GroupedGemmArgs& a) { multiply_groups(a.y, a.x, a.weight, a.offsets, /*transposed=*/true); }

void grouped_gemm_backward_input(const GroupedGemmBackwardInputArgs& a) {
  multiply_groups(a.dx, a.dy, a.weight, a.offsets, /*transposed=*/false);
}

// Works in two passes over the segments: the first transposes dy and packs x, the second adds to each tile of dw the
// segments of its expert, in order.
void grouped_gemm_backward_weight(const GroupedGemmBackwardWeightArgs& a) {
  const int64_t O = a.dw.shape[1], I = a.dw.shape[2];
  const DType in = a.x.dtype;
  if (O == 0 || I == 0) return;
  const Groups groups = groups_of(a.offsets, a.x.shape.rows());
  Scratch<Segment> segments(max_segments(groups));
  const int64_t count = cut(groups, segments.data());
  const int64_t places = count ? segments[count - 1].place + segments[count - 1].depth : 0;
  // Bytes of packed x per row: the packed size is proportional to the depth, which is always a multiple of kDepthStep.
  const int64_t slot = static_cast<int64_t>(packed_bytes(in, kDepthStep, I)) / kDepthStep;
  Scratch<std::byte> turned(bytes_of(in, places * O)), packed(places * slot);
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    Scratch<std::byte> padded(bytes_of(in, kMaxDepth * std::max(O, I)));
    for (int64_t i = begin; i < end; ++i) {
      const Segment& s = segments[i];
      transpose({s.depth, O, in}, turned.data() + bytes_of(in, s.place * O), padded_rows(s, a.dy, padded.data()));
      pack({s.depth, I, in, in}, packed.data() + s.place * slot, padded_rows(s, a.x, padded.data()));
    }
  });
  const int64_t tiles = (O + kTileRows - 1) / kTileRows;
  parallel_for(groups.num * tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < count; ++i) {
      const Segment& s = segments[i];
      const int64_t first = std::max(begin, s.expert * tiles), last = std::min(end, (s.expert + 1) * tiles);
      if (first >= last) continue;
      const int64_t o = (first - s.expert * tiles) * kTileRows, rows = std::min((last - first) * kTileRows, O - o);
      matmul_tiles({rows, I, s.depth, in, DType::f32, /*accumulate=*/true},
                   {a.dw.f32() + (s.expert * O + o) * I, turned.data() + bytes_of(in, s.place * O + o * s.depth),
                    packed.data() + s.place * slot});
    }
  });
}

}  // namespace birkhoff::cpu
