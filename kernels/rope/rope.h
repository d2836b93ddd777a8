#pragma once
#include <cstdint>

#include "kernels/core/arena.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

enum class RopePairs : uint8_t {
  interleaved,  // dims (2i, 2i + 1) turn together
  half,         // dims (i, i + dims / 2)
};

// Context extension by YaRN. Source: Peng et al. 2023, arXiv:2309.00071, section 3; used as in DeepSeek-V3.
struct YarnOptions {
  double factor = 1;  // 1: none
  int64_t original_length = 4096;
  double beta_fast = 32, beta_slow = 1, mscale = 1;
};

struct RopeOptions {
  RopePairs pairs = RopePairs::interleaved;
  int64_t dims = 64;  // rotated dims of a head, even
  double theta = 10000;
  YarnOptions yarn;
};

// Radians per position of pair i: theta^(-2i / dims), and for YaRN a blend of that and of it divided by the factor, by
// a linear ramp between the pairs that make beta_fast and beta_slow turns over the original length.
double rope_frequency(const RopeOptions& options, int64_t pair);
// Factor of the softmax scale under YaRN: (0.1 mscale ln(factor) + 1)^2; 1 without.
double rope_attention_factor(const YarnOptions& yarn);

// cos and sin of the angles of positions [0, length), computed in f64: [length, dims / 2, 2] f32, from the arena.
Tensor make_rope_table(Stream& stream, Arena& arena, const RopeOptions& options, int64_t length);

// Rotates dims [offset, offset + dims) of every head, in place, by the angle of the token's position:
//   (a, b) -> (a cos - b sin, a sin + b cos)
// The inverse turns back; it is also the backward, applied to the gradient.
//
// Shapes:  x [T, H, D]; table [length, dims / 2, 2]; positions [T].
// Types:   x f32 or bf16; table f32; positions i32 in [0, length): BugError else.
// Errors:  UserError if a shape or dtype disagrees.
// Source:  Su et al. 2021, arXiv:2104.09864, equation 34.
enum class RopeDirection : uint8_t { forward, inverse };
struct RopeArgs {
  Tensor x;
  Tensor table, positions;
  int64_t offset = 0;
  RopePairs pairs = RopePairs::interleaved;
  RopeDirection direction = RopeDirection::forward;
};
void rope(Stream& stream, const RopeArgs& args);

}  // namespace birkhoff
