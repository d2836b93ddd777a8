#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

// The name at the smallest edit distance from `given`. Empty if no name is close enough.
std::string nearest(std::string_view given, const std::vector<std::string_view>& names);

// The setting that corresponds to an option of another framework, such as "--tensor-model-parallel-size" or
// "num_attention_heads". Empty if there is none.
std::string setting_for_foreign_name(std::string_view name);

}  // namespace birkhoff
