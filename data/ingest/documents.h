#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

// How a text file becomes documents. JSON lines are one document each and are not split.
struct SplitRule {
  enum class Kind { whole, blank_lines, regex, size };
  Kind kind = Kind::whole;
  std::string regex;      // ECMAScript, searched per line: a matching line begins a document
  int64_t bytes = 0;      // size: cut at the first line end at or after so many bytes
  int64_t min_bytes = 0;  // blank_lines, regex: neighbours are joined until a document has so many bytes
};

// The documents of one file's text. Concatenated they are the text, byte for byte.
std::vector<std::string_view> split_documents(std::string_view text, const SplitRule& rule);

// All regular files under the inputs, sorted by path, hidden ones left out. UserError if an input does not exist.
std::vector<std::filesystem::path> list_files(const std::vector<std::filesystem::path>& inputs);

// The file's bytes, unpacked if its first bytes are those of gzip or zstd. DataError if it is damaged.
std::string read_unpacked(const std::filesystem::path& path);

// Values of `field` of a JSON-lines text. DataError names path and line.
std::vector<std::string> read_json_lines(std::string_view text, const std::string& field, const std::string& path);

}  // namespace birkhoff
