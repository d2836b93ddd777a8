#include "data/tokenizer/oniguruma.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <vector>

#include "data/tokenizer/pcre2_pattern.h"
#include "data/tokenizer/unicode.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// Oniguruma's \s (White_Space) and \w (Alphabetic + M + Nd + Pc) as members of a bracket expression. PCRE2's own
// classes differ in a few characters: it counts U+180E as a space, and does not count marks as word characters.
constexpr std::string_view kSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

// Outside a bracket expression, Oniguruma's \w also matches these digits and fractions.
constexpr std::string_view kWordOutside = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";

// Pairs of letters to which a single character folds (ß folds to ss, ﬁ to fi). If case is ignored, Oniguruma lets the
// pair and the character match each other, but PCRE2 does not.
constexpr std::string_view kFoldedPairs[] = {"ss", "ff", "fi", "fl", "st"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// Translates \p{NAME} or \P{NAME}. For PCRE2 a bare script name includes its script extensions, so a script becomes
// sc:NAME.
std::string property(std::string_view name, char letter) {
  const bool negated = name.starts_with('^');
  const std::string script = concat("\\", letter, "{", negated ? "^" : "", "sc:", name.substr(negated), "}");
  const bool is_script = name.size() > 1 && Pcre2Pattern::accepts(script, RegexMode::multiline);
  return is_script ? script : concat("\\", letter, "{", name, "}");
}

// A quantifier: repeats the atom before it.
struct Quantifier {
  size_t size;       // length of its spelling in the pattern
  std::string pcre;  // its spelling for PCRE2
  bool is_interval;  // {n,m}; a + or ? that follows means something else than after *, + or ?
};

// Translates the pattern from left to right. This is one class despite its length, because every construct depends on
// the position, the open groups, the atom that a quantifier would repeat, and whether case is ignored.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) { groups_.push_back({}); }

  std::string operator()() {
    while (at_ < pattern_.size()) token();
    if (groups_.size() > 1) refuse("a group without its end");
    close_options();
    return out_;
  }

 private:
  // An open group, or the whole pattern.
  struct Group {
    size_t begin = 0;        // offset in out_
    bool is_anchor = false;  // a look-around, which cannot be repeated
    bool ignores_case = false, is_extended = false;
    int options = 0;  // number of groups that were opened for (?i) and the like, and end where this group ends
  };

  std::string_view rest() const { return pattern_.substr(at_); }
  char next() const { return at_ < pattern_.size() ? pattern_[at_] : '\0'; }
  Group& group() { return groups_.back(); }
  std::string number() {
    std::string digits;
    while (is_digit(next())) digits += pattern_[at_++];
    return digits;
  }

  void token() {
    const char c = next();
    if (group().is_extended && (c == ' ' || (c >= '\t' && c <= '\r'))) {
      ++at_;
    } else if (group().is_extended && c == '#') {
      at_ = std::min(pattern_.size(), pattern_.find('\n', at_));
    } else if (const auto quantifier = quantifier_here()) {
      repeat(*quantifier);
    } else if (c == '(') {
      open_group();
    } else if (c == ')') {
      close_group();
    } else if (c == '[') {
      begin_atom();
      character_class();
    } else if (c == '\\') {
      begin_atom();
      escape();
    } else if (c == '|' || c == '^' || c == '$') {
      out_ += c;
      ++at_;
      atom_.reset();
      last_letter_ = '\0';
    } else {
      begin_atom();
      literal();
    }
  }

  void begin_atom() { atom_ = out_.size(); }

  void literal() {
    if (next() == '.') {
      last_letter_ = '\0';
      out_ += pattern_[at_++];
      return;
    }
    const size_t begin = at_;
    next_code_point(pattern_, at_);
    const std::string_view character = pattern_.substr(begin, at_ - begin);
    check_case(character);
    if (character == "{" || character == "}" || character == "]") out_ += '\\';
    out_ += character;
  }

  // If case is ignored, refuses characters beyond ASCII and the pairs in kFoldedPairs, because Oniguruma may then match
  // one character with several.
  void check_case(std::string_view character) {
    if (!group().ignores_case) return;
    if (character.size() > 1) refuse(concat(character, " where case is ignored"));
    const char letter = lower(character[0]);
    for (const std::string_view pair : kFoldedPairs) {
      if (pair[0] == last_letter_ && pair[1] == letter) refuse(concat(pair, " where case is ignored"));
    }
    last_letter_ = letter;
  }

  // The quantifier at the current position, if there is one. A { that does not begin an interval stands for itself.
  std::optional<Quantifier> quantifier_here() {
    const char c = next();
    if (c == '*' || c == '+' || c == '?') return Quantifier{1, std::string(1, c), false};
    if (c != '{') return std::nullopt;
    const size_t begin = at_++;
    std::string low = number(), high = low;
    const bool has_comma = next() == ',';
    if (has_comma) {
      ++at_;
      high = number();
    }
    const bool is_interval = next() == '}' && !(low.empty() && high.empty());
    const size_t size = at_ + 1 - begin;
    at_ = begin;
    if (!is_interval) return std::nullopt;
    if (low.empty()) low.push_back('0');
    if (low.size() > 5 || high.size() > 5) refuse(rest().substr(0, size));
    if (!high.empty() && std::stoi(low) > std::stoi(high)) refuse(rest().substr(0, size));
    return Quantifier{size, has_comma ? concat("{", low, ",", high, "}") : concat("{", low, "}"), true};
  }

  // Translates a quantifier. After *, + and ?, a `?` makes it lazy and a `+` makes it possessive. After an interval,
  // Oniguruma takes them for a second repetition: {2,3}+ is (?:{2,3})+ and {2}? is (?:{2})?. The exception is {2,3}?,
  // which is lazy.
  void repeat(const Quantifier& quantifier) {
    if (!atom_) refuse(concat(rest().substr(0, quantifier.size), " with nothing to repeat"));
    at_ += quantifier.size;
    out_ += quantifier.pcre;
    const bool fixed = quantifier.is_interval && quantifier.pcre.find(',') == std::string::npos;
    if ((next() == '?' && !fixed) || (next() == '+' && !quantifier.is_interval)) out_ += pattern_[at_++];
    if (group().ignores_case && last_letter_ != '\0') check_repeated_letter();
    if (!quantifier_here()) return;
    if (!quantifier.is_interval) refuse(concat(rest().substr(0, 1), " behind another repetition"));
    out_ = concat(out_.substr(0, *atom_), "(?:", out_.substr(*atom_), ")");
  }

  // Refuses a repeated letter that could stand for a folded pair: s{2} is ss.
  void check_repeated_letter() const {
    for (const std::string_view pair : kFoldedPairs) {
      if (pair[0] == last_letter_ && pair[1] == last_letter_) {
        refuse(concat("a repeated ", last_letter_, " where case is ignored"));
      }
    }
  }

  void open_group() {
    const size_t begin = out_.size();
    const size_t spelling = at_;
    Group opened = group();
    opened.begin = begin;
    opened.options = 0;
    opened.is_anchor = false;
    atom_.reset();
    ++at_;
    if (rest().starts_with('*')) refuse("(*");
    if (!rest().starts_with('?')) {
      out_ += '(';
      groups_.push_back(opened);
      return;
    }
    for (const std::string_view kind : {"?:", "?=", "?!", "?<=", "?<!", "?>"}) {
      if (!rest().starts_with(kind)) continue;
      at_ += kind.size();
      out_ += concat("(", kind);
      opened.is_anchor = kind != "?:" && kind != "?>";
      groups_.push_back(opened);
      return;
    }
    options(opened, pattern_.substr(spelling));
  }

  // Translates the options (?i) and (?x). An option applies up to the end of its group, across alternatives: a(?i)b|c
  // means a(?i:b|c).
  void options(Group opened, std::string_view spelling) {
    ++at_;
    bool on = true;
    for (; next() == 'i' || next() == 'x' || next() == '-'; ++at_) {
      if (next() == '-') on = false;
      if (next() == 'i') opened.ignores_case = on;
      if (next() == 'x') opened.is_extended = on;
    }
    const char end = next();
    if (end != ')' && end != ':') refuse(spelling.substr(0, 3));
    ++at_;
    out_ += opened.ignores_case ? "(?i:" : "(?-i:";
    if (end == ':') {
      groups_.push_back(opened);
      return;
    }
    ++group().options;
    group().ignores_case = opened.ignores_case;
    group().is_extended = opened.is_extended;
  }

  void close_options() { out_.append(static_cast<size_t>(group().options), ')'); }

  void close_group() {
    if (groups_.size() == 1) refuse("a ) without its (");
    close_options();
    out_ += ')';
    ++at_;
    atom_.reset();
    if (!group().is_anchor) atom_ = group().begin;
    groups_.pop_back();
  }

  // Translates a bracket expression. A ] in first position stands for itself. If case is ignored, Oniguruma lets a
  // class also match the case folds of its members, which may be several letters. Only ASCII members have no such
  // folds, so only these are accepted then.
  void character_class() {
    last_letter_ = '\0';
    out_ += pattern_[at_++];
    for (const char c : {'^', ']'}) {
      if (next() != c) continue;
      if (c == ']') out_ += '\\';
      out_ += pattern_[at_++];
    }
    while (next() != ']') {
      if (at_ >= pattern_.size()) refuse("a class without its end");
      class_member();
    }
    out_ += pattern_[at_++];
  }

  void class_member() {
    if (next() == '[') refuse(rest().starts_with("[:") ? "a POSIX class" : "a class within a class");
    if (rest().starts_with("&&")) refuse("&&");
    if (next() == '\\') {
      if (group().ignores_case && is_letter(pattern_.substr(at_).size() > 1 ? pattern_[at_ + 1] : ' ') &&
          std::string_view("tnrfvae").find(pattern_[at_ + 1]) == std::string_view::npos) {
        refuse(concat(rest().substr(0, 2), " in a class where case is ignored"));
      }
      return escape_in_class();
    }
    const size_t begin = at_;
    next_code_point(pattern_, at_);
    if (group().ignores_case && at_ - begin > 1) {
      refuse(concat(pattern_.substr(begin, at_ - begin), " in a class where case is ignored"));
    }
    out_ += pattern_.substr(begin, at_ - begin);
  }

  void escape_in_class() {
    const char c = escaped();
    if (c == 's') {
      out_ += kSpace;
    } else if (c == 'w') {
      out_ += kWord;
    } else if (c == 'S' || c == 'W') {
      refuse(concat("\\", c, " within a class"));
    } else {
      common_escape(c);
    }
  }

  void escape() {
    last_letter_ = '\0';
    const char c = escaped();
    if (c == 's' || c == 'S') {
      out_ += concat(c == 's' ? "[" : "[^", kSpace, "]");
    } else if (c == 'w' || c == 'W') {
      out_ += concat(c == 'w' ? "[" : "[^", kWord, kWordOutside, "]");
    } else if (c == 'A' || c == 'z' || c == 'Z') {
      out_ += {'\\', c};
      atom_.reset();
    } else {
      if (!is_letter(c)) check_case(std::string_view(&c, 1));
      common_escape(c);
    }
  }

  // Consumes an escape and returns the character after the backslash.
  char escaped() {
    if (at_ + 1 >= pattern_.size()) refuse("a \\ at its end");
    at_ += 2;
    return pattern_[at_ - 1];
  }

  void common_escape(char c) {
    if (c == 'v') {
      out_ += R"(\x{b})";  // PCRE2's \v is any vertical space
    } else if (std::string_view("tnrfaedD").find(c) != std::string_view::npos) {
      out_ += {'\\', c};
    } else if (c == 'p' || c == 'P') {
      property_escape(c);
    } else if (c == 'x' || c == 'u') {
      code_point(c);
    } else if (is_letter(c) || is_digit(c)) {
      refuse(concat("\\", c));
    } else if (static_cast<unsigned char>(c) < 0x80) {
      out_ += {'\\', c};
    } else {
      --at_;  // an escaped character of several bytes stands for itself
      const size_t begin = at_;
      next_code_point(pattern_, at_);
      if (group().ignores_case) refuse(concat(pattern_.substr(begin, at_ - begin), " where case is ignored"));
      out_ += pattern_.substr(begin, at_ - begin);
    }
  }

  void property_escape(char letter) {
    const size_t end = pattern_.find('}', at_);
    if (next() != '{' || end == std::string_view::npos) refuse(concat("\\", letter, " without {"));
    const std::string_view name = pattern_.substr(at_ + 1, end - at_ - 1);
    std::string plain;
    for (const char c : name) {
      if (is_letter(c)) plain += lower(c);
    }
    // If case is ignored, these properties match letters of the other case in both engines, but the two engines do not
    // match the same letters.
    const bool has_case = plain == "lu" || plain == "ll" || plain == "lt" || plain == "lc" || plain == "upper" ||
                          plain == "lower" || plain.starts_with("uppercase") || plain.starts_with("lowercase");
    if (group().ignores_case && has_case) refuse(concat("\\", letter, "{", name, "} where case is ignored"));
    out_ += property(name, letter);
    at_ = end + 1;
  }

  // Translates \x{2028}, \u2028 and \x20. The form \xHH is accepted only for ASCII: above that, Oniguruma takes it for
  // a byte.
  void code_point(char kind) {
    const bool braces = kind == 'x' && next() == '{';
    at_ += braces;
    std::string digits;
    const size_t most = braces ? 8 : kind == 'u' ? 4 : 2;
    while (digits.size() < most && std::isxdigit(static_cast<unsigned char>(next()))) digits += pattern_[at_++];
    const uint64_t value = digits.empty() ? UINT64_MAX : std::stoull(digits, nullptr, 16);
    const bool complete = braces ? next() == '}' : digits.size() == most;
    const bool is_byte = kind == 'x' && !braces && value >= 0x80;
    if (!complete || is_byte || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
      refuse(concat("\\", kind, braces ? "{" : "", digits));
    }
    at_ += braces;
    if (group().ignores_case && (value >= 0x80 || is_letter(static_cast<char>(value)))) {
      refuse(concat("\\", kind, digits, " where case is ignored"));
    }
    out_ += concat("\\x{", digits, "}");
  }

  [[noreturn]] void refuse(std::string_view what) const {
    throw UserError(
        concat("the regex ", excerpt(pattern_), " uses ", excerpt(what), ", which this tokenizer does not support"));
  }

  std::string_view pattern_;
  std::string out_;
  size_t at_ = 0;
  std::vector<Group> groups_;
  std::optional<size_t> atom_;  // offset in out_ of the atom that a quantifier would repeat
  char last_letter_ = '\0';     // the previous literal, if case is ignored
};

}  // namespace

std::string translate_oniguruma(std::string_view pattern) { return Translator(pattern)(); }

}  // namespace birkhoff
