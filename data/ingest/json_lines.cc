#include "data/ingest/json_lines.h"

#include <algorithm>
#include <cctype>

#include "data/ingest/inputs.h"
#include "data/json/json.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr size_t kLongNumber = 300;  // a number of more characters may exceed the range of a double

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The end of the JSON number that begins at `at`, or `at` if no number begins there.
size_t end_of_number(std::string_view text, size_t at) {
  const auto digits = [&text](size_t from) {
    while (from < text.size() && is_digit(text[from])) ++from;
    return from;
  };
  size_t end = at + (text[at] == '-');
  if (digits(end) == end) return at;
  end = text[end] == '0' ? end + 1 : digits(end);
  if (end < text.size() && text[end] == '.' && digits(end + 1) > end + 1) end = digits(end + 1);
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    const size_t sign = end + 1 < text.size() && (text[end + 1] == '+' || text[end + 1] == '-') ? 1 : 0;
    if (digits(end + 1 + sign) > end + 1 + sign) end = digits(end + 1 + sign);
  }
  return end;
}

// JSON does not limit the size of numbers, but the parser rejects those that a double cannot hold. Numbers do not
// matter for the text, so this replaces each suspicious one by a 0 and spaces. The length is kept so that the positions
// in the parser's messages stay correct.
std::string without_large_numbers(std::string_view line) {
  std::string out(line);
  bool in_string = false;
  for (size_t at = 0; at < line.size(); ++at) {
    const char c = line[at];
    if (in_string && c == '\\') {
      ++at;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '-' || is_digit(c))) {
      const size_t end = end_of_number(line, at);
      const std::string_view number = line.substr(at, end - at);
      if (number.size() > kLongNumber || number.find_first_of("eE") != number.npos) {
        std::fill(out.begin() + static_cast<std::ptrdiff_t>(at), out.begin() + static_cast<std::ptrdiff_t>(end), ' ');
        out[at] = '0';
      }
      if (end > at) at = end - 1;
    }
  }
  return out;
}

// Returns the value that a dotted name denotes, or nullptr. If the name can be split into keys in several ways, the way
// with the longest first key wins.
const Json* value_of(const Json& object, const std::string& field) {
  if (!object.is_object()) return nullptr;
  if (const auto found = object.find(field); found != object.end()) return &*found;
  for (size_t dot = field.rfind('.'); dot != field.npos && dot > 0; dot = field.rfind('.', dot - 1)) {
    const auto outer = object.find(field.substr(0, dot));
    if (outer == object.end()) continue;
    if (const Json* inner = value_of(*outer, field.substr(dot + 1))) return inner;
  }
  return nullptr;
}

// Parses one line and adapts the parser's messages to it: removes the parser's own name and its line number, which
// counts from the start of this text and is always 1.
Json parse_line(std::string_view line, const std::string& place) {
  try {
    return parse_json(without_large_numbers(line), place);
  } catch (const DataError& error) {
    std::string message = error.what();
    if (message.find("surrogate") != message.npos) {
      throw DataError(
          concat(place, ": a string has half of a surrogate pair (as \\ud83d alone is), which is no character"));
    }
    const size_t begin = message.find("[json.exception"), column = message.find("column ", begin);
    if (begin != message.npos && column != message.npos) message.erase(begin, column - begin);
    throw DataError(message);
  }
}

}  // namespace

std::string text_of_json_line(std::string_view line, const std::string& field, const std::string& place) {
  const Json json = parse_line(line, place);
  if (!json.is_object()) throw DataError(concat(place, ": is ", json.type_name(), ", expected an object"));
  const Json* value = value_of(json, field);
  if (!value) throw DataError(concat(place, ": has no '", field, "'; --json-field names the key of the text"));
  if (!value->is_string()) {
    throw DataError(concat(place, ": '", field, "' is ", value->type_name(), ", expected a string"));
  }
  return value->get<std::string>();
}

void BadLines::add(const std::filesystem::path& file, int64_t line, const std::string& reason) {
  const std::string place = concat(shown(file), ": line ", line, ": ");
  if (policy_ == BadData::fail)
    throw DataError(
        concat(place, reason, " (--bad skip leaves such lines out, --format text takes the file as it stands)"));
  if (count() >= max_count_) {
    throw DataError(concat("more than ", max_count_, " JSON lines cannot be read, the last: ", place, reason,
                           "; --max-bad sets how many may be left out"));
  }
  entries_.push_back({shown(file), line, reason});
}

std::string BadLines::to_json_lines() const {
  std::string out;
  for (const Entry& entry : entries_) {
    const nlohmann::ordered_json json = {{"file", entry.file}, {"line", entry.line}, {"reason", entry.reason}};
    out += json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return out;
}

}  // namespace birkhoff
