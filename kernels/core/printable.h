#pragma once
#include <string>
#include <string_view>

namespace birkhoff {

// A text as it may go to a terminal: control characters (but line feed and tab), those of the C1 block, and characters
// that turn the direction of writing are shown by their numbers, as \x1b and \u202e. What files and users name reaches
// messages, and would else steer the terminal of whoever reads them.
std::string printable(std::string_view text);

}  // namespace birkhoff
