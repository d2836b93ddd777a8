#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

// The name with the fewest edits to `given`, if they are few; otherwise empty.
std::string nearest(std::string_view given, const std::vector<std::string_view>& names);

// The setting that other frameworks call `name` ("--tensor-model-parallel-size", "num_attention_heads"); empty if none.
std::string known_elsewhere(std::string_view name);

}  // namespace birkhoff
