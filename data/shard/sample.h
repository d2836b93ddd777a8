#pragma once
#include <cstdint>
#include <iosfwd>
#include <string_view>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/core/shape.h"

namespace birkhoff {

enum class Modality : int64_t { text = 0, opaque = 1 };
std::string_view name_of(Modality modality);

// A stretch of one modality. Text: token ids and a loss mask (1: the token is learned) of equal length, shape [tokens].
// Anything else: encoded bytes, kept as they are, and a shape of up to 4 dims that says what they decode to.
struct Segment {
  Modality modality = Modality::text;
  Shape shape{0};
  std::vector<int32_t> tokens;
  std::vector<uint8_t> loss_mask;
  std::vector<uint8_t> bytes;

  static Segment text(std::vector<int32_t> tokens);  // every token learned
  static Segment text(std::vector<int32_t> tokens, std::vector<uint8_t> loss_mask);
  static Segment opaque(std::vector<uint8_t> bytes, Shape shape);
};

// The bytes of a sample are not those that were written. The samples beside it may be whole.
class DamagedSample : public DataError {
 public:
  using DataError::DataError;
};

// One document: segments in reading order.
struct Sample {
  std::vector<Segment> segments;
  int64_t source_bytes = 0;  // bytes of raw text it was made from, the denominator of bits per byte

  int64_t num_tokens() const;  // over its text segments
};

}  // namespace birkhoff
