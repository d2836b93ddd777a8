#pragma once
#include <cstdint>
#include <vector>

#include "kernels/core/enum_names.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Which two of the D rotated dims form pair i: (2i, 2i+1), or (i, i + D/2).
enum class RopeLayout : uint8_t { interleaved, half };
inline EnumNames names_of(RopeLayout) {
  static constexpr std::string_view names[] = {"interleaved", "half"};
  return names;
}
// The inverse rotation is the backward of the forward rotation, because it is its transpose, even if the table includes
// a factor.
enum class RopeDirection : uint8_t { forward, inverse };

// Context extension. Pairs that turn more than beta_fast times over original_length keep their frequency; pairs that
// turn less than beta_slow times are slowed by `factor`; between them the blend is linear in the pair's index. A factor
// of 1 changes nothing.
// Source:  Peng et al. 2023, arXiv:2309.00071, section 3.2; rounding (floor, ceil, clamp) as DeepSeek released it.
struct YarnOptions {
  double factor = 1;
  int64_t original_length = 4096;
  double beta_fast = 32, beta_slow = 1;
  // With m(s) = 0.1 s ln(factor) + 1, cosines and sines are multiplied by m(mscale) / m(mscale_all_dim), and the
  // softmax scale by m(mscale_all_dim)^2. If both numbers are equal, only the softmax scale changes. If a number is 0,
  // its m is 1. An mscale_all_dim of -1 stands for mscale.
  double mscale = 1, mscale_all_dim = -1;
  bool operator==(const YarnOptions&) const = default;
};

struct RopeOptions {
  RopeLayout layout = RopeLayout::interleaved;
  double theta = 10000;
  YarnOptions yarn;
  bool operator==(const RopeOptions&) const = default;
};

// Angle per position of each of the dims/2 pairs: theta^(-2i/dims), adjusted by YaRN.
std::vector<double> rope_frequencies(const RopeOptions& options, int64_t dims);

// The factors by which YaRN multiplies the softmax scale, and the cosines and sines. Both are 1 without YaRN.
double rope_softmax_factor(const YarnOptions& options);
double rope_table_factor(const YarnOptions& options);

// Fills table [P, D/2, 2] (f32; f64 on the reference device) with cos and sin of position * frequency, times
// rope_table_factor. Computed in f64 on the host.
void fill_rope_table(Stream& stream, Tensor table, const RopeOptions& options);

// Rotates D dims of every head, beginning at dim `offset`, by the angle of the token's position, and copies the other
// dims:
//   (y[p], y[q]) = (x[p] cos - x[q] sin, x[p] sin + x[q] cos)   for each pair (p, q); the inverse negates sin.
//
// Shapes:  x, y [T, H, E] with offset + D <= E; positions i32 [T]; table [P, D/2, 2] of fill_rope_table.
// Types:   x, y have the same dtype, f32 or bf16; table f32. Arithmetic in f32.
// Aliases: y may be x.
// Errors:  UserError if a shape or dtype disagrees, or, on host devices, if a position is outside [0, P).
// Cost:    reads x once, writes y once. In place, reads and writes only the rotated dims.
// Source:  Su et al. 2021, arXiv:2104.09864, equation 34.
struct RopeArgs {
  Tensor y;
  Tensor x, positions, table;
  int64_t offset = 0;
  RopeLayout layout = RopeLayout::interleaved;
  RopeDirection direction = RopeDirection::forward;
};
void rope(Stream& stream, const RopeArgs& args);

}  // namespace birkhoff
