#pragma once
// The only user of PCRE2, the regex engine of the project. data/tokenizer/regex.h builds the patterns of tokenizer
// files on it, and data/tokenizer/line_regex.h those of the command line.
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace birkhoff {

struct Match {
  size_t begin, end;
};

// How PCRE2 reads a pattern and a text. In both modes, classes such as \d mean Unicode properties, and only LF ends a
// line.
enum class RegexMode {
  multiline,  // ^ and $ match at line boundaries; the text must be UTF-8
  line,       // the text is one line without its line feed; bytes that are not UTF-8 match nothing
};

// A pattern for use in a message, cut after 200 bytes.
std::string excerpt(std::string_view pattern);

// A compiled pattern. Copies share it, and any number of threads may use it at the same time.
// Errors: UserError names the pattern if PCRE2 rejects it, or if matching exceeds the limits on steps or memory in
//         pcre2_pattern.cc.
class Pcre2Pattern {
 public:
  // `spelling` is the pattern as the user wrote it, for messages; `pattern` is what PCRE2 reads.
  Pcre2Pattern(std::string_view spelling, std::string_view pattern, RegexMode mode);
  static bool accepts(std::string_view pattern, RegexMode mode);

  const std::string& spelling() const;  // an excerpt() of it

  // The leftmost match that begins in [from, last]. `last` must be at most text.size().
  std::optional<Match> find(std::string_view text, size_t from, size_t last) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

}  // namespace birkhoff
