#pragma once
#include <string>
#include <string_view>

namespace birkhoff {

// Returns the text in a form that is safe to print on a terminal: control characters (except line feed and tab), those
// of the C1 block, and characters that change the direction of writing are shown by their numbers, as \x1b and \u202e.
// Messages contain names from files and users, which could otherwise control the reader's terminal.
std::string printable(std::string_view text);

}  // namespace birkhoff
