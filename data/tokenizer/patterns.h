#pragma once
#include <string>
#include <vector>

#include "data/tokenizer/json_fields.h"

namespace birkhoff {

// Returns the "pre_tokenizer" of a tokenizer.json that splits text into words as a published tokenizer does: "gpt2",
// "llama3" or "deepseek".
// Errors: UserError for an unknown name.
Json pre_tokenizer_json(const std::string& pattern);

const std::vector<std::string>& pattern_names();

}  // namespace birkhoff
