#pragma once
// Regular expressions of tokenizer files, which are written for Oniguruma and run on PCRE2.
#include <optional>
#include <string>
#include <string_view>

#include "data/tokenizer/pcre2_pattern.h"

namespace birkhoff {

// A compiled pattern. `\s` and `\w` mean the Unicode properties that Oniguruma gives them, and `\p{Script}` means the
// script without its extensions. `^` and `$` match at line boundaries. See translate_oniguruma().
// Errors: UserError for a pattern that cannot be translated (`\b`, `\h`, `&&`) or that PCRE2 rejects, and for a text on
//         which matching takes too many steps.
// Cost: compiled to machine code if PCRE2 can. Const functions may be called from any number of threads.
class Regex {
 public:
  explicit Regex(std::string_view pattern);
  static Regex literal(std::string_view text);

  // The leftmost match at or after `from`. The text must be UTF-8.
  std::optional<Match> find(std::string_view text, size_t from = 0) const {
    return pattern_.find(text, from, text.size());
  }

  // Calls use(match) for successive matches. An empty match directly after the previous match is skipped.
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
      // After an empty match, go on at the next character: searching from the same position would find it again.
      do ++from;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80);
    }
  }
}

}  // namespace birkhoff
