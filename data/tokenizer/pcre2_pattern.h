#pragma once
// The one user of PCRE2, the project's regex engine. data/tokenizer/regex.h reads patterns of tokenizer files on top of
// it, data/tokenizer/line_regex.h those of the command line.
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace birkhoff {

struct Match {
  size_t begin, end;
};

// How PCRE2 reads a pattern and a text. In both, classes such as \d mean Unicode properties, and only LF ends a line.
enum class RegexMode {
  multiline,  // ^ and $ match at lines; the text must be UTF-8
  line,       // the text is one line without its end; bytes that are not UTF-8 match nothing
};

// A pattern as messages show it: the first 200 bytes of a longer one.
std::string excerpt(std::string_view pattern);

// A compiled pattern. Copies share it, and any number of threads may use it at once.
// Errors: UserError names the pattern where PCRE2 refuses it, and where matching takes more steps or memory than the
//         limits in pcre2_pattern.cc allow.
class Pcre2Pattern {
 public:
  // `spelling` is the pattern as the user wrote it, for messages; `pattern` is what PCRE2 reads.
  Pcre2Pattern(std::string_view spelling, std::string_view pattern, RegexMode mode);
  static bool accepts(std::string_view pattern, RegexMode mode);

  const std::string& spelling() const;  // its excerpt

  // The leftmost match that begins in [from, last], `last` being at most text.size().
  std::optional<Match> find(std::string_view text, size_t from, size_t last) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

}  // namespace birkhoff
