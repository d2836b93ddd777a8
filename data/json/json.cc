#include "data/json/json.h"

#include <algorithm>
#include <vector>

#include "data/file/regular_file.h"
#include "kernels/core/hash.h"

namespace birkhoff {
namespace {

constexpr size_t kShownBytes = 60;  // longest excerpt of a value in a message

// Replaces bytes that are not UTF-8 by U+FFFD. The parser quotes its input, which may contain such bytes.
std::string printable_utf8(const std::string& message) {
  return Json::parse(Json(message).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

// Returns "NaN at byte 5" if the parser stopped at one of the numbers that JSON cannot represent, else an empty string.
// `byte` counts from 1 and is the first byte that the parser could not accept. That is the second byte of "nan",
// because its first byte could have begun "null".
std::string non_number_at(std::string_view text, size_t byte) {
  for (const char* word : {"NaN", "Infinity", "nan", "inf"}) {
    for (const size_t back : {size_t{1}, size_t{2}}) {
      if (byte < back || byte - back >= text.size() || !text.substr(byte - back).starts_with(word)) continue;
      return concat(word, " at byte ", byte - back + 1);
    }
  }
  return {};
}

// Builds the value while the text is read, so that depth and duplicate keys are checked before more memory is
// allocated. The parser's own callback interface would do, but it walks all members of an object again for each value
// inside it, which takes quadratic time.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const std::string& place) : text_(text), place_(place) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& value) override { return add(std::move(value)); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    const auto [member, is_new] = open_.back()->get_ref<Json::object_t&>().emplace(std::move(name), nullptr);
    if (!is_new) {
      std::string shown = json_excerpt(member->first);
      std::replace(shown.begin(), shown.end(), '"', '\'');
      throw DataError(concat(place_, ": an object has the key ", shown, " twice; keep one"));
    }
    member_ = &member->second;
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& error) override {
    if (dynamic_cast<const Json::parse_error*>(&error) == nullptr) {
      throw DataError(concat(place_, ": cannot be read as JSON: ", printable_utf8(error.what())));
    }
    const std::string non_number = non_number_at(text_, byte);
    if (!non_number.empty()) {
      throw DataError(concat(place_, ": ", non_number, " is not JSON, which has no such number"));
    }
    throw DataError(concat(place_, ": is not JSON: ", printable_utf8(error.what())));
  }

 private:
  // Stores the value at its place in the tree, and returns that place.
  Json* put(Json&& value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_object()) return &(*member_ = std::move(value));
    Json::array_t& array = open_.back()->get_ref<Json::array_t&>();
    array.push_back(std::move(value));
    return &array.back();
  }
  bool add(Json&& value) {
    put(std::move(value));
    return true;
  }
  bool open(Json&& value) {
    if (open_.size() >= kMaxJsonDepth) {
      throw DataError(concat(place_, ": its values are nested deeper than ", kMaxJsonDepth, " levels"));
    }
    open_.push_back(put(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  const std::string& place_;
  Json root_;
  // The open objects and arrays, from the root to the innermost. The pointers stay valid: only the innermost array
  // grows, and growing it moves no value that is in this list.
  std::vector<Json*> open_;
  Json* member_ = nullptr;  // the member whose key was read last
};

}  // namespace

Json parse_json(std::string_view text, const std::string& place) {
  // The parser takes a zero byte for the end of the text, and would silently ignore what follows it.
  if (const size_t zero = text.find('\0'); zero != text.npos) {
    throw DataError(concat(place, ": is not JSON: a zero byte at byte ", zero + 1));
  }
  Builder builder(text, place);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
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
  // Compare an unsigned value as unsigned first: above INT64_MAX, get<int64_t>() would wrap around to a negative
  // number.
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
