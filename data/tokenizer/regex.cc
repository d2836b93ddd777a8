#include "data/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <pcre2.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// White_Space, and Alphabetic + M + Nd + Pc, as members of a bracket expression. PCRE2's own classes differ in a few
// characters (U+180E is a space there, marks are no word characters).
constexpr std::string_view kSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

// Oniguruma's \w counts these numbers too, but only outside a bracket expression.
constexpr std::string_view kWordOutside = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

std::string message_of(int code) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

Owned<pcre2_code> compile(std::string_view pattern, int& error, size_t& offset) {
  const Owned<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  return Owned<pcre2_code>(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions, &error,
                                         &offset, context.get()));
}

// PCRE2 reads the name of a script as its extensions.
std::string property(std::string_view name, char letter) {
  const bool negated = name.starts_with('^');
  const std::string script = concat("\\", letter, "{", negated ? "^" : "", "sc:", name.substr(negated), "}");
  int error;
  size_t offset;
  const bool is_script = name.size() > 1 && compile(script, error, offset);
  return is_script ? script : concat("\\", letter, "{", name, "}");
}

// Rewrites what PCRE2 would read differently from Oniguruma; see Regex.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string operator()() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\' && at_ + 1 < pattern_.size()) {
        escape();
        continue;
      }
      if (c == '[' && in_class_ && !pattern_.substr(at_).starts_with("[:")) refuse("a class within a class");
      if (c == '[' && !in_class_) {
        open_class();
        continue;
      }
      if (in_class_ && pattern_.substr(at_).starts_with("[:")) refuse("a POSIX class");
      if (in_class_ && pattern_.substr(at_).starts_with("&&")) refuse("&&");
      if (!in_class_ && pattern_.substr(at_).starts_with("(?")) check_group(pattern_.substr(at_ + 2));
      if (c == ']') in_class_ = false;
      out_ += c;
      ++at_;
    }
    return out_;
  }

 private:
  // A first ] stands for itself, in Oniguruma too.
  void open_class() {
    in_class_ = true;
    out_ += pattern_[at_++];
    for (const char c : {'^', ']'}) {
      if (at_ < pattern_.size() && pattern_[at_] == c) out_ += pattern_[at_++];
    }
  }

  // Options differ in meaning ((?m) is PCRE2's (?s)), save for i and x; named groups have no use here.
  void check_group(std::string_view rest) const {
    const char c = rest.empty() ? ' ' : rest[0];
    const bool is_option = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    if (is_option && !rest.starts_with("i:") && !rest.starts_with("i)") && !rest.starts_with("x:")) {
      refuse(concat("(?", rest.substr(0, 2)));
    }
  }

  void escape() {
    const char c = pattern_[at_ + 1];
    at_ += 2;
    switch (c) {
      case 's':
        out_ += in_class_ ? std::string(kSpace) : concat("[", kSpace, "]");
        return;
      case 'w':
        out_ += in_class_ ? std::string(kWord) : concat("[", kWord, kWordOutside, "]");
        return;
      case 'S':
      case 'W':
        if (in_class_) refuse(concat("\\", c, " within a class"));
        out_ += c == 'S' ? concat("[^", kSpace, "]") : concat("[^", kWord, kWordOutside, "]");
        return;
      case 'p':
      case 'P': {
        const size_t end = pattern_.find('}', at_);
        if (at_ >= pattern_.size() || pattern_[at_] != '{' || end == std::string_view::npos) break;
        out_ += property(pattern_.substr(at_ + 1, end - at_ - 1), c);
        at_ = end + 1;
        return;
      }
      default:
        if (std::string_view("bBhHgGkKXRQEcCNoO").find(c) != std::string_view::npos) refuse(concat("\\", c));
    }
    out_ += {'\\', c};
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw UserError(concat("the regex ", pattern_, " uses ", what, ", which this tokenizer does not support"));
  }

  std::string_view pattern_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

// What matching needs beside the pattern; one per thread serves all patterns.
struct MatchState {
  Owned<pcre2_match_data> data{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
  Owned<pcre2_jit_stack> stack{pcre2_jit_stack_create(32 << 10, 64 << 20, nullptr)};
  MatchState() { pcre2_jit_stack_assign(context.get(), nullptr, stack.get()); }
};

}  // namespace

struct Regex::Code {
  Owned<pcre2_code> code;
  bool jit = false;
  std::string pattern;
};

Regex::Regex(std::string_view pattern) {
  int error = 0;
  size_t offset = 0;
  auto code = std::make_shared<Code>();
  const std::string translated = Translator(pattern)();
  code->code = compile(translated, error, offset);
  BK_CHECK(code->code, "the regex ", pattern, " is not supported: ", message_of(error), " (at ", offset, " of ",
           translated, ")");
  code->jit = pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE) == 0;
  code->pattern = pattern;
  code_ = std::move(code);
}

Regex Regex::literal(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 128 &&
        std::string_view(R"(\^$.|?*+()[]{}-)").find(c) != std::string_view::npos) {
      escaped += '\\';
    }
    escaped += c;
  }
  return Regex(escaped);
}

std::optional<Match> Regex::find(std::string_view text, size_t from) const {
  thread_local MatchState state;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto* code = code_->code.get();
  const int result =
      code_->jit
          ? pcre2_jit_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK, state.data.get(), state.context.get())
          : pcre2_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK, state.data.get(), state.context.get());
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  BK_CHECK(result >= 0, "the regex ", code_->pattern, " fails on a text of ", text.size(),
           " bytes: ", message_of(result));
  const size_t* ends = pcre2_get_ovector_pointer(state.data.get());
  return Match{ends[0], ends[1]};
}

}  // namespace birkhoff
