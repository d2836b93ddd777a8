#include "trainer/config/value.h"

#include <charconv>
#include <cmath>
#include <optional>

#include "kernels/core/error.h"
#include "trainer/config/suggest.h"

namespace birkhoff {
namespace {

// The fewest digits that read back equal; whole numbers without an exponent.
std::string shortest(double value) {
  char buffer[32];
  const bool whole = value == std::floor(value) && std::abs(value) < kMaxInt;
  const auto [end, error] = whole ? std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed)
                                  : std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, end};
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(static_cast<double>(value))) return {};
  return value;
}

std::string range(const Limits& limits) {
  const bool open = limits.max >= 1e12;
  return open ? concat("of at least ", shortest(limits.min))
              : concat("in [", shortest(limits.min), ", ", shortest(limits.max), "]");
}

std::string describe_node(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "has no value";
    case YamlNode::Kind::scalar:
      return node.quoted ? "is the text \"" + node.text + "\"" : "is '" + node.text + "'";
    case YamlNode::Kind::sequence:
      return "is a list";
    case YamlNode::Kind::map:
      return "is a section";
  }
  return "";
}

// What to do, where the mistake shows it.
std::string hint(const Setting& setting, const YamlNode& node) {
  const bool wants_number =
      std::holds_alternative<int64_t*>(setting.value) || std::holds_alternative<double*>(setting.value);
  if (node.kind == YamlNode::Kind::null) return "; remove the line for the default";
  if (node.kind != YamlNode::Kind::scalar) return "";
  const auto number = parse_number<double>(node.text);
  if (wants_number && node.quoted && number) return "; remove the quotes";
  if (std::holds_alternative<int64_t*>(setting.value) && number && *number == std::floor(*number) &&
      std::abs(*number) < kMaxInt)
    return concat("; write ", static_cast<int64_t>(*number));
  if (const auto* choice = std::get_if<Choice>(&setting.value)) {
    const auto close = nearest(node.text, {choice->names.begin(), choice->names.end()});
    if (!close.empty()) return "; did you mean " + close + "?";
  }
  return "";
}

std::string refuse(const Setting& setting, const YamlNode& node) {
  return describe_node(node) + ", expected " + type_of(setting) + hint(setting, node);
}

bool plain(const YamlNode& node) { return node.kind == YamlNode::Kind::scalar && !node.quoted; }

template <class Number>
std::optional<Number> number_in(const Limits& limits, const YamlNode& node) {
  if (!plain(node)) return {};
  const auto value = parse_number<Number>(node.text);
  if (!value || static_cast<double>(*value) < limits.min || static_cast<double>(*value) > limits.max) return {};
  return value;
}

// One overload a type: true if the node is such a value, which is then set.
bool set(const Setting&, bool* value, const YamlNode& node) {
  if (!plain(node) || (node.text != "true" && node.text != "false")) return false;
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
  if (node.kind != YamlNode::Kind::scalar) return false;
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
    if (node.kind != YamlNode::Kind::scalar || choice.names[i] != node.text) continue;
    choice.set(i);
    return true;
  }
  return false;
}
bool set(const Setting& setting, const ListSize&, const YamlNode&) {
  throw BugError("assign of a list of sections: " + setting.path);
}

// Double-quoted YAML where a plain scalar would read back as something else.
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
std::string yaml_of_value(const Choice& choice) { return std::string(choice.names[choice.get()]); }
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

std::string assign(const Setting& setting, const YamlNode& node) {
  const bool done = std::visit([&](const auto& value) { return set(setting, value, node); }, setting.value);
  return done ? "" : refuse(setting, node);
}

std::string yaml_of(const Setting& setting) {
  return std::visit([](const auto& value) { return yaml_of_value(value); }, setting.value);
}

std::string type_of(const Setting& setting) {
  return std::visit([&](const auto& value) { return type_of_value(setting, value); }, setting.value);
}

}  // namespace birkhoff
