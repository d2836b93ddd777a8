#pragma once
// Numbers of settings: read from text, judged by limits, written with the fewest digits.
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "trainer/setting/setting.h"
#include "trainer/config/yaml_tree.h"

namespace birkhoff {

// The fewest digits that read back equal; whole numbers without an exponent.
std::string shortest(double value);

// The finite number that the whole text is.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(static_cast<double>(value))) return {};
  return value;
}

// A plain scalar may be a number; one in quotes or with a tag is none.
inline bool is_plain(const YamlNode& node) {
  return node.kind == YamlNode::Kind::scalar && !node.quoted && node.tag.empty();
}

template <class Number>
bool within(const Limits& limits, Number value) {
  return static_cast<double>(value) >= limits.min && static_cast<double>(value) <= limits.max;
}

// Limits whose upper end is so far that documentation and messages leave it out.
inline bool is_open(const Limits& limits) { return limits.max >= 1e12; }

}  // namespace birkhoff
