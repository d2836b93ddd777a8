#include "trainer/config/value.h"

#include <charconv>
#include <cmath>
#include <optional>

#include "kernels/core/error.h"
#include "trainer/config/number.h"

namespace birkhoff {
namespace {

std::string range(const Limits& limits) {
  return is_open(limits) ? concat("of at least ", shortest(limits.min))
                         : concat("in [", shortest(limits.min), ", ", shortest(limits.max), "]");
}

template <class Number>
std::optional<Number> number_in(const Limits& limits, const YamlNode& node) {
  if (!is_plain(node)) return {};
  const auto value = parse_number<Number>(node.text);
  return value && within(limits, *value) ? value : std::nullopt;
}

// One overload per type of value. Each sets the value and returns true, or returns false if the node does not fit.
bool set(const Setting&, bool* value, const YamlNode& node) {
  if (!is_plain(node) || (node.text != "true" && node.text != "false")) return false;
  *value = node.text == "true";
  return true;
}
bool set(const Setting& setting, int64_t* value, const YamlNode& node) {
  const auto number = number_in<int64_t>(setting.limits, node);
  if (number) *value = *number;
  return number.has_value();
}
bool set(const Setting& setting, double* value, const YamlNode& node) {
  const auto number = number_in<double>(setting.limits, node);
  if (number) *value = *number;
  return number.has_value();
}
bool set(const Setting&, std::string* value, const YamlNode& node) {
  if (node.kind != YamlNode::Kind::scalar || !node.tag.empty()) return false;
  if (node.text.find('\0') != std::string::npos) return false;  // would cut off a path without a warning
  *value = node.text;
  return true;
}
bool set(const Setting& setting, std::vector<int64_t>* value, const YamlNode& node) {
  if (node.kind != YamlNode::Kind::sequence && node.kind != YamlNode::Kind::scalar) return false;
  const bool list = node.kind == YamlNode::Kind::sequence;
  std::vector<int64_t> numbers;
  for (const YamlNode& item : list ? node.children : std::vector<YamlNode>{node}) {
    const auto number = number_in<int64_t>(setting.limits, item);
    if (!number) return false;
    numbers.push_back(*number);
  }
  *value = std::move(numbers);
  return true;
}
bool set(const Setting&, const Choice& choice, const YamlNode& node) {
  for (size_t i = 0; i < choice.names.size(); ++i) {
    if (node.kind != YamlNode::Kind::scalar || !node.tag.empty() || choice.names[i] != node.text) continue;
    choice.set(i);
    return true;
  }
  return false;
}
bool set(const Setting& setting, const ListSize&, const YamlNode&) {
  throw BugError("assign of a list of sections: " + setting.path);
}

// The text as a plain scalar if it reads back equal, otherwise in double quotes.
std::string quote(const std::string& text) {
  static constexpr std::string_view plain_characters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
  const bool word = !text.empty() && text.find_first_not_of(plain_characters) == std::string::npos && text[0] != '-' &&
                    text != "null" && text != "Null" && text != "NULL";
  if (word) return text;
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string yaml_of_value(const bool* value) { return *value ? "true" : "false"; }
std::string yaml_of_value(const int64_t* value) { return std::to_string(*value); }
std::string yaml_of_value(const double* value) { return shortest(*value); }
std::string yaml_of_value(const std::string* value) { return quote(*value); }
std::string yaml_of_value(const std::vector<int64_t>* value) {
  std::string out;
  for (const int64_t number : *value) out += (out.empty() ? "" : ", ") + std::to_string(number);
  return "[" + out + "]";
}
std::string yaml_of_value(const Choice& choice) {
  const size_t i = choice.get();
  BK_ASSERT(i < choice.names.size(), "a setting has a value that is none of its choices");
  return std::string(choice.names[i]);
}
std::string yaml_of_value(const ListSize& list) { return list.get() ? "" : "[]"; }

std::string type_of_value(const Setting&, const bool*) { return "true or false"; }
std::string type_of_value(const Setting& s, const int64_t*) { return "a whole number " + range(s.limits); }
std::string type_of_value(const Setting& s, const double*) { return "a number " + range(s.limits); }
std::string type_of_value(const Setting&, const std::string*) { return "text"; }
std::string type_of_value(const Setting& s, const std::vector<int64_t>*) {
  return "a list of whole numbers " + range(s.limits) + ", such as [3, 4], or one number";
}
std::string type_of_value(const Setting&, const Choice& choice) {
  std::string out;
  for (const std::string_view name : choice.names) out += (out.empty() ? "" : ", ") + std::string(name);
  return "one of " + out;
}
std::string type_of_value(const Setting&, const ListSize&) { return "a list of sections"; }

}  // namespace

bool assign(const Setting& setting, const YamlNode& node) {
  return std::visit([&](const auto& value) { return set(setting, value, node); }, setting.value);
}

std::string yaml_of(const Setting& setting) {
  return std::visit([](const auto& value) { return yaml_of_value(value); }, setting.value);
}

std::string type_of(const Setting& setting) {
  return std::visit([&](const auto& value) { return type_of_value(setting, value); }, setting.value);
}

}  // namespace birkhoff
