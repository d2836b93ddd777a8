#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

// The name at the smallest edit distance from `given`, for messages that ask "did you mean ...?". Empty if no name is
// close enough.
std::string nearest(std::string_view given, const std::vector<std::string_view>& names);

}  // namespace birkhoff
