#pragma once
#include <cstdint>
#include <vector>

#include "data/tokenizer/json_fields.h"

namespace birkhoff {

// The ids that the post-processor of a tokenizer.json adds before and after a single text. Supports TemplateProcessing,
// ByteLevel (which only affects offsets) and sequences of these. Others are rejected by name.
struct PostProcessor {
  std::vector<int32_t> prefix, suffix;

  static PostProcessor from_json(const Json& json);  // null: no post-processor
};

}  // namespace birkhoff
