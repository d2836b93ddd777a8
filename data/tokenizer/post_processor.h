#pragma once
#include <cstdint>
#include <vector>

#include "data/tokenizer/json_fields.h"

namespace birkhoff {

// The ids that the post-processor of a tokenizer.json puts around a single text: TemplateProcessing, ByteLevel (which
// concerns offsets alone) and sequences of these; others are refused by name.
struct PostProcessor {
  std::vector<int32_t> prefix, suffix;

  static PostProcessor from_json(const Json& json);  // null: none
};

}  // namespace birkhoff
