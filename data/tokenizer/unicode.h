#pragma once
// Functions for UTF-8 text that may contain invalid bytes, and the Unicode properties that tokenizer files refer to.
#include <cstdint>
#include <string>
#include <string_view>

namespace birkhoff {

// A maximal run of valid UTF-8, or of bytes that belong to no character.
struct Utf8Run {
  std::string_view bytes;
  bool valid;
};

// The first run of the text, which must not be empty.
Utf8Run first_utf8_run(std::string_view text);
bool is_utf8(std::string_view text);
bool starts_with_character(std::string_view text);  // false if the text is empty

// Calls use(run) for the runs of the text in order.
template <class Use>
void for_each_utf8_run(std::string_view text, Use use) {
  while (!text.empty()) {
    const Utf8Run run = first_utf8_run(text);
    use(run);
    text.remove_prefix(run.bytes.size());
  }
}

// Returns the code point at `at` and advances `at` past it. An invalid sequence gives U+FFFD.
char32_t next_code_point(std::string_view text, size_t& at);
// Returns the code point that ends at `at`, and moves `at` back to its start.
char32_t previous_code_point(std::string_view text, size_t& at);
void append_utf8(std::string& out, char32_t code_point);

bool is_white_space(char32_t c);  // White_Space
bool is_word(char32_t c);         // \w of UTS 18: Alphabetic, M, Nd, Pc, Join_Control
bool is_numeric(char32_t c);      // N
bool is_mark(char32_t c);         // M

enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view text, NormalForm form);
std::string lowercase(std::string_view text);  // each character by itself, regardless of context
std::string without_marks(std::string_view text);

enum class Ends { left, right, both };
std::string_view strip(std::string_view text, Ends ends);  // removes white space

}  // namespace birkhoff
