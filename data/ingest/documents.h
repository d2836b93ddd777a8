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
  std::string regex;      // ECMAScript: a line in which it is found begins a document
  int64_t bytes = 0;      // size: cut after the first line that reaches so many bytes
  int64_t min_bytes = 0;  // blank_lines, regex: neighbours are joined until a document has so many bytes
};

// The documents of one text. Concatenated they are the text, byte for byte; none is empty. UserError for a bad rule.
std::vector<std::string_view> split_documents(std::string_view text, const SplitRule& rule);

// The file's bytes, unpacked if they begin as gzip (.gz, .dz) or zstd do. DataError if they are damaged.
std::string read_unpacked(const std::filesystem::path& path);

// Calls use(document) for each document of a file, in order: .jsonl (also .jsonl.gz, .jsonl.zst) gives the string
// `json_field` of each line, anything else is split by the rule. DataError names path and line.
void read_documents(const std::filesystem::path& path, const SplitRule& rule, const std::string& json_field,
                    const std::function<void(std::string_view document)>& use);

}  // namespace birkhoff
