#pragma once
// Text as UTF-8 with possible breaks, and the properties of Unicode that tokenizer files refer to.
#include <cstdint>
#include <string>
#include <string_view>

namespace birkhoff {

// A maximal stretch of text that is UTF-8, or of bytes that belong to no character.
struct Utf8Run {
  std::string_view bytes;
  bool valid;
};

// The run that starts the text, which must not be empty.
Utf8Run first_utf8_run(std::string_view text);
bool is_utf8(std::string_view text);
bool starts_with_character(std::string_view text);  // not empty, and its first bytes are a UTF-8 character

// Calls use(run) for the runs of the text in order.
template <class Use>
void for_each_utf8_run(std::string_view text, Use use) {
  while (!text.empty()) {
    const Utf8Run run = first_utf8_run(text);
    use(run);
    text.remove_prefix(run.bytes.size());
  }
}

// The code point at `at`, which moves behind it; U+FFFD for one byte that starts no character.
char32_t next_code_point(std::string_view text, size_t& at);
// The code point that ends at `at`, which moves to its start.
char32_t previous_code_point(std::string_view text, size_t& at);
void append_utf8(std::string& out, char32_t code_point);

bool is_white_space(char32_t c);  // White_Space
bool is_word(char32_t c);         // \w of UTS 18: Alphabetic, M, Nd, Pc, Join_Control
bool is_numeric(char32_t c);      // N
bool is_mark(char32_t c);         // M

enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view text, NormalForm form);
std::string lowercase(std::string_view text);  // character by character, as if each stood alone
std::string without_marks(std::string_view text);

enum class Ends { left, right, both };
std::string_view strip(std::string_view text, Ends ends);  // white space

}  // namespace birkhoff
