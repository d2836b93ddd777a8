#pragma once
#include <string>
#include <vector>

#include "data/tokenizer/json_fields.h"

namespace birkhoff {

// How published tokenizers cut text into words, by name: the "pre_tokenizer" of their tokenizer.json.
// Errors: UserError for a name that is not known.
Json pre_tokenizer_json(const std::string& pattern);

const std::vector<std::string>& pattern_names();

}  // namespace birkhoff
