#include "data/tokenizer/regex.h"

#include "data/tokenizer/oniguruma.h"

namespace birkhoff {

Regex::Regex(std::string_view pattern) : pattern_(pattern, translate_oniguruma(pattern), RegexMode::multiline) {}

Regex Regex::literal(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 128 &&
        std::string_view(R"(\^$.|?*+()[]{}-)").find(c) != std::string_view::npos) {
      escaped += '\\';
    }
    escaped += c;
  }
  return Regex(Pcre2Pattern(text, escaped, RegexMode::multiline));
}

}  // namespace birkhoff
