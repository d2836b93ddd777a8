#include "data/tokenizer/unicode.h"

#include <algorithm>

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

const uint8_t* bytes_of(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

using GetNormalizer = const icu::Normalizer2* (*)(UErrorCode&);

const icu::Normalizer2& loaded(GetNormalizer get) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = get(status);
  BK_ASSERT(U_SUCCESS(status), "ICU: ", u_errorName(status));
  return *normalizer;
}

// Static references, because the thread sanitizer does not see how ICU, which is built without it, makes one thread
// wait until another has loaded a form.
const icu::Normalizer2& normalizer_of(NormalForm form) {
  static const icu::Normalizer2& nfc = loaded(icu::Normalizer2::getNFCInstance);
  static const icu::Normalizer2& nfd = loaded(icu::Normalizer2::getNFDInstance);
  static const icu::Normalizer2& nfkc = loaded(icu::Normalizer2::getNFKCInstance);
  static const icu::Normalizer2& nfkd = loaded(icu::Normalizer2::getNFKDInstance);
  switch (form) {
    case NormalForm::nfc:
      return nfc;
    case NormalForm::nfd:
      return nfd;
    case NormalForm::nfkc:
      return nfkc;
    case NormalForm::nfkd:
      return nfkd;
  }
  return nfc;  // not reached
}

}  // namespace

Utf8Run first_utf8_run(std::string_view text) {
  const auto* bytes = bytes_of(text);
  bool valid = true;
  size_t end = 0;
  while (end < text.size()) {
    size_t next = end;
    UChar32 c;
    U8_NEXT(bytes, next, text.size(), c);
    if (end == 0) valid = c >= 0;
    if ((c >= 0) != valid) break;
    end = next;
  }
  return {text.substr(0, end), valid};
}

bool is_utf8(std::string_view text) {
  if (text.empty()) return true;
  const Utf8Run run = first_utf8_run(text);
  return run.valid && run.bytes.size() == text.size();
}

bool starts_with_character(std::string_view text) {
  if (text.empty()) return false;
  size_t at = 0;
  UChar32 c;
  U8_NEXT(bytes_of(text), at, text.size(), c);
  return c >= 0;
}

char32_t next_code_point(std::string_view text, size_t& at) {
  UChar32 c;
  U8_NEXT_OR_FFFD(bytes_of(text), at, text.size(), c);
  return static_cast<char32_t>(c);
}

char32_t previous_code_point(std::string_view text, size_t& at) {
  // ICU takes 32-bit offsets. It needs only one character here, so it is given only the last few bytes.
  const size_t window = std::min<size_t>(at, U8_MAX_LENGTH);
  const uint8_t* start = bytes_of(text) + (at - window);
  auto offset = static_cast<int32_t>(window);
  UChar32 c;
  U8_PREV_OR_FFFD(start, 0, offset, c);
  at -= window - static_cast<size_t>(offset);
  return static_cast<char32_t>(c);
}

void append_utf8(std::string& out, char32_t code_point) {
  uint8_t buffer[U8_MAX_LENGTH];
  size_t length = 0;
  U8_APPEND_UNSAFE(buffer, length, code_point);
  out.append(reinterpret_cast<const char*>(buffer), length);
}

bool is_white_space(char32_t c) { return u_isUWhiteSpace(static_cast<UChar32>(c)); }
bool is_numeric(char32_t c) { return (U_MASK(u_charType(static_cast<UChar32>(c))) & U_GC_N_MASK) != 0; }
bool is_mark(char32_t c) { return (U_MASK(u_charType(static_cast<UChar32>(c))) & U_GC_M_MASK) != 0; }

bool is_word(char32_t c) {
  constexpr uint32_t kMask = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  const auto point = static_cast<UChar32>(c);
  return (U_MASK(u_charType(point)) & kMask) || u_isUAlphabetic(point) ||
         u_hasBinaryProperty(point, UCHAR_JOIN_CONTROL);
}

std::string normalize(std::string_view text, NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  std::string out;
  icu::StringByteSink<std::string> sink(&out, static_cast<int32_t>(text.size()));
  // ICU's sizes have 32 bits.
  BK_CHECK(text.size() < (size_t{1} << 30), "a text of ", text.size(), " bytes is too long to normalize; split it");
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  normalizer_of(form).normalizeUTF8(0, piece, sink, nullptr, status);
  BK_ASSERT(U_SUCCESS(status), "ICU: ", u_errorName(status));
  return out;
}

std::string lowercase(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c == 0x130) {  // the only character whose context-free lower case has two characters
      out += "i\u0307";
    } else {
      append_utf8(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
    }
  }
  return out;
}

std::string without_marks(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (!is_mark(c)) append_utf8(out, c);
  }
  return out;
}

std::string_view strip(std::string_view text, Ends ends) {
  size_t begin = 0, end = text.size();
  for (size_t at = 0; ends != Ends::right && at < text.size() && is_white_space(next_code_point(text, at));) begin = at;
  for (size_t at = end; ends != Ends::left && at > begin && is_white_space(previous_code_point(text, at));) end = at;
  return text.substr(begin, end - begin);
}

}  // namespace birkhoff
