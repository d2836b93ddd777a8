#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/shard/bad_data.h"

namespace birkhoff {

// The string `field` of one JSON line. A key of that very name comes first; otherwise "data.text" is the key "text" of
// the object under "data". Nothing else of the line is judged beyond being JSON: a number may be of any size.
// Errors: DataError says what is wrong with the line, behind `place`.
std::string text_of_json_line(std::string_view line, const std::string& field, const std::string& place);

// What happens to a JSON line without usable text, and which lines those were.
class BadLines {
 public:
  explicit BadLines(BadData policy = BadData::fail, int64_t max_count = 0) : policy_(policy), max_count_(max_count) {}

  // Keeps the line in mind, or throws the DataError for it: under `fail`, and for one more than max_count lines.
  void add(const std::filesystem::path& file, int64_t line, const std::string& reason);

  int64_t count() const { return static_cast<int64_t>(entries_.size()); }
  // bad_samples.jsonl: {"file", "line", "reason"} a line.
  std::string to_json_lines() const;

 private:
  struct Entry {
    std::string file;
    int64_t line;
    std::string reason;
  };
  BadData policy_;
  int64_t max_count_;
  std::vector<Entry> entries_;
};

}  // namespace birkhoff
