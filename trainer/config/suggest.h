#pragma once
#include <string>
#include <string_view>

namespace birkhoff {

// The setting that corresponds to an option of another framework, such as "--tensor-model-parallel-size" or
// "num_attention_heads". Empty if there is none.
std::string setting_for_foreign_name(std::string_view name);

}  // namespace birkhoff
