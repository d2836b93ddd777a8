#include "data/json/json.h"

#include <algorithm>
#include <unordered_set>

#include "data/file/regular_file.h"
#include "kernels/core/hash.h"

namespace birkhoff {
namespace {

constexpr size_t kShownBytes = 60;  // of a value, in a message

// Watches the parser: the depth, and the keys of every object that is open.
class Guard {
 public:
  explicit Guard(const std::string& place) : place_(place) {}

  void operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) check_depth(depth);
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::key) check_key(parsed.get_ref<const std::string&>());
    if (event == Event::object_end) keys_.pop_back();
  }

 private:
  void check_depth(int depth) const {
    if (depth < kMaxJsonDepth) return;
    throw DataError(concat(place_, ": its values are nested deeper than ", kMaxJsonDepth, " levels"));
  }
  void check_key(const std::string& key) {
    if (keys_.back().insert(key).second) return;
    throw DataError(concat(place_, ": an object has the key '", key, "' twice; keep one"));
  }

  const std::string& place_;
  std::vector<std::unordered_set<std::string>> keys_;
};

// The parser repeats what it read, which may be no UTF-8: with U+FFFD in place of such bytes.
std::string printable(const std::string& message) {
  return Json::parse(Json(message).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

// "NaN at byte 5" where the parser gave up at one of the numbers that JSON has no spelling for, else nothing. `byte`
// counts from 1 and is that of the first byte that fits nothing: in "nan", which begins as "null" does, the second.
std::string non_number_at(std::string_view text, size_t byte) {
  for (const char* word : {"NaN", "Infinity", "nan", "inf"}) {
    for (const size_t back : {size_t{1}, size_t{2}}) {
      if (byte < back || byte - back >= text.size() || !text.substr(byte - back).starts_with(word)) continue;
      return concat(word, " at byte ", byte - back + 1);
    }
  }
  return {};
}

}  // namespace

Json parse_json(std::string_view text, const std::string& place) {
  Guard guard(place);
  const auto watch = [&guard](int depth, Json::parse_event_t event, const Json& parsed) {
    guard(depth, event, parsed);
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::parse_error& error) {
    const std::string non_number = non_number_at(text, error.byte);
    if (!non_number.empty()) throw DataError(concat(place, ": ", non_number, " is not JSON, which has no such number"));
    throw DataError(concat(place, ": is not JSON: ", printable(error.what())));
  } catch (const Json::exception& error) {
    throw DataError(concat(place, ": cannot be read as JSON: ", printable(error.what())));
  }
}

std::string json_excerpt(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
  return text;
}

std::string json_checksum(const Json& value) {
  const std::string text = value.dump(1);
  return hex16(hash64(text.data(), text.size()));
}

void JsonView::refuse(const std::string& expected) const {
  throw DataError(concat(place(), " is ", json_excerpt(*value_), ", expected ", expected));
}

bool JsonView::has(const std::string& key) const {
  if (!value_->is_object()) refuse("an object");
  return value_->contains(key);
}

JsonView JsonView::member(const std::string& key, const Json& value) const {
  return {value, file_, path_.empty() ? key : path_ + "." + key};
}

JsonView JsonView::at(const std::string& key) const {
  if (!value_->is_object()) refuse("an object");
  const auto found = value_->find(key);
  if (found == value_->end()) throw DataError(concat(place(), " has no '", key, "'"));
  return member(key, *found);
}

std::vector<std::pair<std::string, JsonView>> JsonView::members() const {
  if (!value_->is_object()) refuse("an object");
  std::vector<std::pair<std::string, JsonView>> all;
  for (const auto& item : value_->items()) all.emplace_back(item.key(), member(item.key(), item.value()));
  return all;
}

void JsonView::allow_only(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, member] : members()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      throw DataError(concat(member.place(), " is not known"));
  }
}

std::vector<JsonView> JsonView::elements() const {
  if (!value_->is_array()) refuse("an array");
  std::vector<JsonView> all;
  for (size_t i = 0; i < value_->size(); ++i) all.push_back({(*value_)[i], file_, concat(path_, '[', i, ']')});
  return all;
}

int64_t JsonView::integer(int64_t min, int64_t max) const {
  const bool fits =
      value_->is_number_integer() &&
      !(value_->is_number_unsigned() && value_->get<uint64_t>() > static_cast<uint64_t>(max < 0 ? 0 : max));
  if (!fits || value_->get<int64_t>() < min || value_->get<int64_t>() > max) {
    refuse(concat("a whole number from ", min, " to ", max));
  }
  return value_->get<int64_t>();
}

bool JsonView::boolean() const {
  if (!value_->is_boolean()) refuse("true or false");
  return value_->get<bool>();
}

std::string JsonView::text() const {
  if (!value_->is_string()) refuse("a string");
  return value_->get<std::string>();
}

std::string JsonView::plain_name() const {
  std::string name = text();
  if (!is_plain_name(name)) refuse("the plain name of a file in the same folder, without '/' and '..'");
  return name;
}

uint64_t JsonView::hex64() const {
  const std::string digits = text();
  if (digits.size() != 16 || digits.find_first_not_of("0123456789abcdef") != digits.npos) {
    refuse("16 hexadecimal digits");
  }
  return std::stoull(digits, nullptr, 16);
}

}  // namespace birkhoff
