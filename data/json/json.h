#pragma once
// The only JSON parser of the project, for its own files (dataset.json, checkpoint manifests, data cursors) and for the
// user's files (tokenizer.json, JSON lines).
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

// Maximum nesting depth of objects and arrays. Functions that walk a value recurse, so an unbounded depth could
// overflow the stack. Our own formats need fewer than ten levels.
inline constexpr int kMaxJsonDepth = 100;

// Parses one JSON text. The time is linear in its length, apart from sorting the keys of each object.
// Errors: DataError "PLACE: ..." if the text is not JSON (the message names NaN and Infinity, which some writers
//         print), if it is nested deeper than kMaxJsonDepth, or if an object contains a key twice.
Json parse_json(std::string_view text, const std::string& place);

// A value for use in a message: in ASCII, cut after 60 bytes.
std::string json_excerpt(const Json& value);

// XXH3-64 of a value, as 16 hexadecimal digits. The value is hashed as UTF-8 text with sorted keys and an indentation
// of one space, so the checksum does not depend on how the file itself is laid out. Our JSON files use it as their
// checksum.
std::string json_checksum(const Json& value);

// A value inside a parsed text and its path, such as "dataset.json: splits.train.shards[0].samples". The accessors
// throw DataError "PLACE is VALUE, expected ..." if the value does not meet the caller's requirements. A view borrows
// the value.
class JsonView {
 public:
  // `file` is the name of the text. All messages begin with it.
  JsonView(const Json& value, std::string file) : value_(&value), file_(std::move(file)) {}

  const Json& value() const { return *value_; }
  std::string place() const { return path_.empty() ? file_ : file_ + ": " + path_; }

  // For objects. at() throws if the key is missing; has() returns whether it is present.
  JsonView at(const std::string& key) const;
  bool has(const std::string& key) const;
  std::vector<std::pair<std::string, JsonView>> members() const;
  // Rejects an object with keys other than these, which would otherwise be silently ignored.
  void allow_only(std::initializer_list<std::string_view> keys) const;

  // For arrays.
  std::vector<JsonView> elements() const;

  // An integer within the bounds. It must be written as an integer: 1.0 is rejected.
  int64_t integer(int64_t min = 0, int64_t max = std::numeric_limits<int64_t>::max()) const;
  bool boolean() const;
  std::string text() const;
  // A name that is_plain_name() accepts (data/file/regular_file.h): an entry of the folder that contains the file.
  std::string plain_name() const;
  // A 64-bit number written as 16 lower-case hexadecimal digits.
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
