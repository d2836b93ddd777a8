#pragma once
// The one reader of JSON: of the project's own files (dataset.json, checkpoint manifests, cursors) and of the user's
// (tokenizer.json, JSON lines). Nothing else of the project parses JSON text.
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kernels/core/error.h"

namespace birkhoff {

using Json = nlohmann::json;

// Objects and arrays may lie within each other this deep. Functions that walk a value recurse, and our own formats need
// less than ten.
inline constexpr int kMaxJsonDepth = 100;

// One JSON text, in time that grows with its length. Errors: DataError "PLACE: ..." where it is no JSON (a NaN, which
// some writers print, is named), is nested deeper than kMaxJsonDepth, or an object has a key twice.
Json parse_json(std::string_view text, const std::string& place);

// A value as messages show it: in ASCII, and the first 60 bytes of a longer one.
std::string json_excerpt(const Json& value);

// XXH3-64, as sixteen hexadecimal digits, of a value as UTF-8 text with sorted keys and an indentation of one space:
// the checksum of the files of ours that are JSON, whatever their own layout.
std::string json_checksum(const Json& value);

// A value inside a parsed text, with the path that leads to it: "dataset.json: splits.train.shards[0].samples". Every
// function throws a DataError "PLACE is GIVEN, expected ..." where the value is not what the caller needs. A view
// borrows the value.
class JsonView {
 public:
  // `file` names the text in messages, which begin with it.
  JsonView(const Json& value, std::string file) : value_(&value), file_(std::move(file)) {}

  const Json& value() const { return *value_; }
  std::string place() const { return path_.empty() ? file_ : file_ + ": " + path_; }

  // Of an object. at() throws where there is no such key; has() answers.
  JsonView at(const std::string& key) const;
  bool has(const std::string& key) const;
  std::vector<std::pair<std::string, JsonView>> members() const;
  // Refuses an object that has other keys than these: they would be ignored silently.
  void allow_only(std::initializer_list<std::string_view> keys) const;

  // Of an array.
  std::vector<JsonView> elements() const;

  // A whole number, written as one (1.0 is none), between the bounds.
  int64_t integer(int64_t min = 0, int64_t max = std::numeric_limits<int64_t>::max()) const;
  bool boolean() const;
  std::string text() const;
  // A name of an entry of the folder that the file lies in (data/file/regular_file.h).
  std::string plain_name() const;
  // 64 bits as 16 hexadecimal digits.
  uint64_t hex64() const;

  [[noreturn]] void refuse(const std::string& expected) const;

 private:
  JsonView(const Json& value, std::string file, std::string path)
      : value_(&value), file_(std::move(file)), path_(std::move(path)) {}
  JsonView member(const std::string& key, const Json& value) const;

  const Json* value_;
  std::string file_, path_;  // path_: from the root of the text to this value
};

}  // namespace birkhoff
