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

// A stretch of a document in one modality.
// Text has token ids, a loss mask of the same length (1: the token is a target), and the shape [tokens]. Any other
// modality has encoded bytes, which are kept as they are, and a shape of up to 4 dims that describes what they decode
// to.
struct Segment {
  Modality modality = Modality::text;
  Shape shape{0};
  std::vector<int32_t> tokens;
  std::vector<uint8_t> loss_mask;
  std::vector<uint8_t> bytes;

  static Segment text(std::vector<int32_t> tokens);  // every token is a target
  static Segment text(std::vector<int32_t> tokens, std::vector<uint8_t> loss_mask);
  static Segment opaque(std::vector<uint8_t> bytes, Shape shape);
};

// The bytes of a sample differ from those that were written. The other samples of the shard may be intact.
class DamagedSample : public DataError {
 public:
  using DataError::DataError;
};

// One document: segments in reading order.
struct Sample {
  std::vector<Segment> segments;
  int64_t source_bytes = 0;  // bytes of the raw text it was made from: the denominator of bits per byte

  int64_t num_tokens() const;  // total over the text segments
};

}  // namespace birkhoff
