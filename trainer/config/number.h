#pragma once
// Parses, checks and prints the numbers of settings.
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "trainer/config/yaml_tree.h"
#include "trainer/setting/setting.h"

namespace birkhoff {

// The shortest text that reads back as the same number. Whole numbers are written without an exponent.
std::string shortest(double value);

// Parses the whole text as a finite number. Returns nullopt if it is not one.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  // YAML allows a plus sign, which from_chars does not accept. "+-1" must not become -1.
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(static_cast<double>(value))) return {};
  return value;
}

// Whether the node may be a number: a scalar in quotes or with a tag never is.
inline bool is_plain(const YamlNode& node) {
  return node.kind == YamlNode::Kind::scalar && !node.quoted && node.tag.empty();
}

template <class Number>
bool within(const Limits& limits, Number value) {
  return static_cast<double>(value) >= limits.min && static_cast<double>(value) <= limits.max;
}

// Whether the upper limit is so large that documentation and messages do not mention it.
inline bool is_open(const Limits& limits) { return limits.max >= 1e12; }

}  // namespace birkhoff
