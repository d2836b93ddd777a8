#pragma once
// Regular expressions of tokenizer files, which are written for Oniguruma, on PCRE2.
#include <optional>
#include <string>
#include <string_view>

#include "data/tokenizer/pcre2_pattern.h"

namespace birkhoff {

// A compiled pattern. `\s` and `\w` mean the Unicode properties that Oniguruma gives them, `\p{Script}` the script and
// not its extensions; `^` and `$` match at lines; see translate_oniguruma().
// Errors: UserError for a pattern that cannot be translated (`\b`, `\h`, `&&`) or that PCRE2 refuses, and for
//         a text on which matching takes too many steps.
// Cost: compiled to machine code where PCRE2 can; const functions may be called from any number of threads.
class Regex {
 public:
  explicit Regex(std::string_view pattern);
  static Regex literal(std::string_view text);

  // The leftmost match at or behind `from`. The text must be UTF-8.
  std::optional<Match> find(std::string_view text, size_t from = 0) const {
    return pattern_.find(text, from, text.size());
  }

  // Calls use(match) for successive matches; an empty one right behind the last match is passed over.
  template <class Use>
  void for_each_match(std::string_view text, Use use) const;

 private:
  explicit Regex(Pcre2Pattern pattern) : pattern_(std::move(pattern)) {}
  Pcre2Pattern pattern_;
};

template <class Use>
void Regex::for_each_match(std::string_view text, Use use) const {
  size_t from = 0, last_end = 0;
  bool any = false;
  while (from <= text.size()) {
    const auto match = find(text, from);
    if (!match) return;
    const bool empty = match->begin == match->end;
    if (!(empty && any && match->end == last_end)) use(*match);
    any = true;
    last_end = from = match->end;
    if (empty) {
      do ++from;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80);
    }
  }
}

}  // namespace birkhoff
