#pragma once
#include <string_view>

#include "data/tokenizer/pcre2_pattern.h"

namespace birkhoff {

// A pattern in Perl's syntax that is searched for in lines, as grep does: `^` and `$` are the ends of the line, the
// line end itself is not part of it (a carriage return is), and bytes that are not UTF-8 match nothing, not even `.`.
// Errors: UserError names a pattern that cannot be read, or that needs too many steps or more than 10 s on one line.
class LineRegex {
 public:
  explicit LineRegex(std::string_view pattern) : pattern_(pattern, pattern, RegexMode::line) {}

  // Whether the pattern occurs in the line, which may end in "\n" or not.
  bool found_in(std::string_view line) const;

 private:
  Pcre2Pattern pattern_;
};

}  // namespace birkhoff
