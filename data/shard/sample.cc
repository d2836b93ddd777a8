#include "data/shard/sample.h"

#include <utility>

namespace birkhoff {

std::string_view name_of(Modality modality) {
  switch (modality) {
    case Modality::text:
      return "text";
    case Modality::opaque:
      return "opaque";
  }
  return "unknown";
}

Segment Segment::text(std::vector<int32_t> tokens) {
  std::vector<uint8_t> all(tokens.size(), 1);
  return text(std::move(tokens), std::move(all));
}

Segment Segment::text(std::vector<int32_t> tokens, std::vector<uint8_t> loss_mask) {
  Segment segment;
  segment.shape = Shape{static_cast<int64_t>(tokens.size())};
  segment.tokens = std::move(tokens);
  segment.loss_mask = std::move(loss_mask);
  return segment;
}

Segment Segment::opaque(std::vector<uint8_t> bytes, Shape shape) {
  Segment segment;
  segment.modality = Modality::opaque;
  segment.shape = shape;
  segment.bytes = std::move(bytes);
  return segment;
}

int64_t Sample::num_tokens() const {
  size_t count = 0;
  for (const Segment& segment : segments) count += segment.tokens.size();
  return static_cast<int64_t>(count);
}

}  // namespace birkhoff
