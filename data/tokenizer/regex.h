#pragma once
// Regular expressions of tokenizer files, which are written for Oniguruma, on PCRE2.
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace birkhoff {

struct Match {
  size_t begin, end;
};

// A compiled pattern. `\s` and `\w` mean the Unicode properties that Oniguruma gives them, `\p{Script}` the script and
// not its extensions; `^` and `$` match at lines.
// Errors: UserError for a pattern that PCRE2 refuses, or that means something else to Oniguruma (`\b`, `\h`, `&&`), and
// for
//         a text on which matching takes too many steps.
// Cost: compiled to machine code where PCRE2 can; const functions may be called from any number of threads.
class Regex {
 public:
  explicit Regex(std::string_view pattern);
  static Regex literal(std::string_view text);

  // The leftmost match at or behind `from`. The text must be UTF-8.
  std::optional<Match> find(std::string_view text, size_t from = 0) const;

  // Calls use(match) for successive matches; an empty one right behind the last match is passed over.
  template <class Use>
  void for_each_match(std::string_view text, Use use) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code);
  std::shared_ptr<const Code> code_;
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
