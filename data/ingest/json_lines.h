#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/shard/bad_data.h"

namespace birkhoff {

// Returns the string `field` of one JSON line. A key with exactly that name is preferred; otherwise "data.text" means
// the key "text" of the object under "data". The rest of the line only has to be JSON, and its numbers may be of any
// size.
// Errors: DataError, which begins with `place`, says what is wrong with the line.
std::string text_of_json_line(std::string_view line, const std::string& field, const std::string& place);

// Decides what happens to JSON lines without usable text, and records them.
class BadLines {
 public:
  explicit BadLines(BadData policy = BadData::fail, int64_t max_count = 0) : policy_(policy), max_count_(max_count) {}

  // Records the line. Throws a DataError instead under `fail`, or if max_count lines are recorded already.
  void add(const std::filesystem::path& file, int64_t line, const std::string& reason);

  int64_t count() const { return static_cast<int64_t>(entries_.size()); }
  // The contents of bad_samples.jsonl: one object {"file", "line", "reason"} per line.
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
