#pragma once
#include <string_view>

#include "data/tokenizer/pcre2_pattern.h"

namespace birkhoff {

// A pattern in Perl syntax that is searched for in lines, as grep does. `^` and `$` match at the ends of the line. The
// line feed is not part of the line, but a carriage return is. Bytes that are not UTF-8 match nothing, not even `.`.
// Errors: UserError if the pattern is invalid, or if it needs too many steps or more than 10 s on one line.
class LineRegex {
 public:
  explicit LineRegex(std::string_view pattern) : pattern_(pattern, pattern, RegexMode::line) {}

  // Whether the pattern matches somewhere in the line, which may or may not end in "\n".
  bool found_in(std::string_view line) const;

 private:
  Pcre2Pattern pattern_;
};

}  // namespace birkhoff
