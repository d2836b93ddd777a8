#include "data/tokenizer/pcre2_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <pcre2.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// Limits of one match attempt, that is, for each position at which a match may begin. A pattern that needs more
// backtracking than this would practically never finish on a longer text.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kHeapLimitKib = 64 << 10;
constexpr size_t kJitStackBytes = size_t{64} << 20;

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

Owned<pcre2_code> compile(std::string_view pattern, RegexMode mode, int& error, size_t& offset) {
  const Owned<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
  options |= mode == RegexMode::multiline ? PCRE2_MULTILINE : PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_INVALID_UTF;
  return Owned<pcre2_code>(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error,
                                         &offset, context.get()));
}

// The working memory of matching. One per thread serves all patterns.
struct MatchState {
  Owned<pcre2_match_data> data{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
  Owned<pcre2_jit_stack> stack{pcre2_jit_stack_create(32 << 10, kJitStackBytes, nullptr)};
  MatchState() {
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    pcre2_set_match_limit(context.get(), kMatchLimit);
    pcre2_set_depth_limit(context.get(), kMatchLimit);
    pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  }
};

}  // namespace

std::string excerpt(std::string_view pattern) {
  constexpr size_t kLongest = 200;
  if (pattern.size() <= kLongest) return std::string(pattern);
  size_t end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(pattern[end]) & 0xc0) == 0x80) --end;  // do not cut within a character
  return concat(pattern.substr(0, end), "... (", pattern.size(), " bytes)");
}

struct Pcre2Pattern::Code {
  Owned<pcre2_code> code;
  bool jit = false, validates = false;
  std::string spelling;
};

Pcre2Pattern::Pcre2Pattern(std::string_view spelling, std::string_view pattern, RegexMode mode) {
  int error = 0;
  size_t offset = 0;
  auto code = std::make_shared<Code>();
  code->code = compile(pattern, mode, error, offset);
  BK_CHECK(code->code, "the regex ", excerpt(spelling), " is not supported: ", message_of(error), " (at ", offset,
           " of ", excerpt(pattern), ")");
  code->jit = pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE) == 0;
  code->validates = mode == RegexMode::line;
  code->spelling = excerpt(spelling);
  code_ = std::move(code);
}

bool Pcre2Pattern::accepts(std::string_view pattern, RegexMode mode) {
  int error = 0;
  size_t offset = 0;
  return compile(pattern, mode, error, offset) != nullptr;
}

const std::string& Pcre2Pattern::spelling() const { return code_->spelling; }

std::optional<Match> Pcre2Pattern::find(std::string_view text, size_t from, size_t last) const {
  thread_local MatchState state;
  pcre2_set_offset_limit(state.context.get(), last);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto match = code_->jit && !code_->validates ? pcre2_jit_match : pcre2_match;  // only the latter checks UTF-8
  const uint32_t options = code_->validates ? 0 : PCRE2_NO_UTF_CHECK;
  const int result =
      match(code_->code.get(), subject, text.size(), from, options, state.data.get(), state.context.get());
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  BK_CHECK(result >= 0, "the regex ", code_->spelling, " fails on a text of ", text.size(),
           " bytes: ", message_of(result), "; write one that tries fewer ways to match");
  const size_t* ends = pcre2_get_ovector_pointer(state.data.get());
  return Match{ends[0], ends[1]};
}

}  // namespace birkhoff
