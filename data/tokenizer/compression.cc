#include "data/tokenizer/compression.h"

#include <unordered_map>

#include "data/tokenizer/sha256.h"
#include "data/tokenizer/unicode.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

bool is_run_character(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string with_single_spaces(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!is_run_character(text[i])) {
      out += text[i];
    } else if (i == 0 || !is_run_character(text[i - 1])) {
      out += ' ';
    }
  }
  return out;
}

std::string little_endian(const std::vector<int32_t>& values, int bytes) {
  std::string out;
  out.reserve(values.size() * bytes);
  for (const int64_t value : values) {
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  }
  return out;
}

std::string key_of(const Tokenizer& tokenizer, int32_t id) {
  const auto token = tokenizer.token_of(id);
  if (!token) return concat("\xff", id);  // not UTF-8, so it differs from the key of any text
  const std::string text = tokenizer.decode(std::span(&id, 1));
  const bool whole = is_utf8(text) && text.find("\uFFFD") == std::string::npos;
  return whole ? engram_key(text) : *token;
}

}  // namespace

std::string engram_normalize(std::string_view text) {
  // In the normalizer sequence of the source, U+E000 protects a text that is a single space from being stripped, and is
  // replaced by a space at the end. A U+E000 in the text itself is therefore replaced as well.
  static constexpr std::string_view kMarker = "\uE000";
  const std::string decomposed = normalize(normalize(text, NormalForm::nfkc), NormalForm::nfd);
  const std::string spaced = with_single_spaces(lowercase(without_marks(decomposed)));
  if (spaced == " ") return spaced;
  std::string out;
  std::string_view rest = strip(spaced, Ends::both);
  for (size_t at; (at = rest.find(kMarker)) != std::string_view::npos; rest.remove_prefix(at + kMarker.size())) {
    out.append(rest.substr(0, at)).push_back(' ');
  }
  return out.append(rest);
}

std::string engram_key(std::string_view text) {
  std::string key = engram_normalize(text);
  return key.empty() ? std::string(text) : key;
}

TokenizerCompression compress_tokenizer(const Tokenizer& tokenizer) {
  TokenizerCompression out;
  out.map.reserve(tokenizer.vocab_size());
  std::unordered_map<std::string, int32_t> ids;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto next = static_cast<int32_t>(ids.size());
    out.map.push_back(ids.emplace(key_of(tokenizer, id), next).first->second);
  }
  out.compressed_size = static_cast<int32_t>(ids.size());
  return out;
}

std::string TokenizerCompression::sha256_int32() const { return sha256_hex(little_endian(map, 4)); }
std::string TokenizerCompression::sha256_int64() const { return sha256_hex(little_endian(map, 8)); }

}  // namespace birkhoff
