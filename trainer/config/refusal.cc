#include "trainer/config/refusal.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "kernels/core/error.h"
#include "kernels/core/nearest.h"
#include "trainer/config/number.h"
#include "trainer/config/value.h"

namespace birkhoff {
namespace {

// Characters that are invisible or look like a plain space. They come with text copied from word processors and web
// pages.
constexpr std::pair<std::string_view, const char*> kInvisible[] = {
    {"\u00a0", "\\u00a0"}, {"\u00ad", "\\u00ad"}, {"\u2002", "\\u2002"}, {"\u2003", "\\u2003"}, {"\u2009", "\\u2009"},
    {"\u200b", "\\u200b"}, {"\u200c", "\\u200c"}, {"\u200d", "\\u200d"}, {"\u200e", "\\u200e"}, {"\u2028", "\\u2028"},
    {"\u202f", "\\u202f"}, {"\u2060", "\\u2060"}, {"\u3000", "\\u3000"}, {"\ufeff", "\\ufeff"}};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// Advice for a setting that was given without a value.
std::string advice_on_none(const Setting& setting, GivenBy by) {
  const bool text = std::holds_alternative<std::string*>(setting.value);
  if (by == GivenBy::file)
    return text ? "; remove the line for the default, or write \"\"" : "; remove the line for the default";
  return text ? concat("; leave the option out for the default, or write '", setting.path, "=\"\"' for the empty text")
              : "; leave the option out for the default";
}

std::string advice_on_bool(const std::string& given) {
  for (const char* word : {"true", "yes", "on", "1"}) {
    if (given == word) return "; write true";
  }
  for (const char* word : {"false", "no", "off", "0"}) {
    if (given == word) return "; write false";
  }
  return "";
}

// Advice for a text that is a number to other programs ("1e3", a number in quotes), or a number out of range.
std::string advice_on_number(const Limits& limits, const YamlNode& node, bool whole) {
  const auto number = parse_number<double>(node.text);
  if (number && (node.quoted || !node.tag.empty())) return node.quoted ? "; remove the quotes" : "; remove the tag";
  const std::string word = lower(node.text);
  if (word.find("inf") != std::string::npos || word.find("nan") != std::string::npos) return "; it must be finite";
  char* end = nullptr;
  const double rough = std::strtod(node.text.c_str(), &end);
  if (node.text.empty() || *end != '\0' || node.text.find_first_of("xX") != std::string::npos) return "";
  if (is_open(limits) && rough > limits.max) return concat(" and at most ", shortest(limits.max));
  if (!number) return whole || std::abs(rough) > 1 ? "" : "; it is nearer to 0 than any number of 64 bits";
  if (whole && *number == std::floor(*number) && within(limits, *number) && std::abs(*number) < kMaxInt)
    return concat("; write ", static_cast<int64_t>(*number));
  return "";
}

std::string advice_on_choice(const Choice& choice, const std::string& given) {
  const auto close = nearest(given, {choice.names.begin(), choice.names.end()});
  return close.empty() ? "" : "; did you mean " + close + "?";
}

std::string advice(const Setting& setting, const YamlNode& node, GivenBy by) {
  if (node.kind == YamlNode::Kind::null) return advice_on_none(setting, by);
  const bool text = std::holds_alternative<std::string*>(setting.value);
  if (text && node.kind != YamlNode::Kind::scalar && by == GivenBy::option)
    return concat("; quote it: '", setting.path, "=\"...\"'");
  if (node.kind != YamlNode::Kind::scalar) return "";
  if (std::holds_alternative<int64_t*>(setting.value)) return advice_on_number(setting.limits, node, true);
  if (std::holds_alternative<double*>(setting.value)) return advice_on_number(setting.limits, node, false);
  if (!node.tag.empty()) return "; remove the tag";
  if (text && node.text.find('\0') != std::string::npos) return " without a byte 0, which no name of a file can hold";
  if (std::holds_alternative<bool*>(setting.value)) return advice_on_bool(lower(node.text));
  if (const auto* choice = std::get_if<Choice>(&setting.value)) return advice_on_choice(*choice, node.text);
  return "";
}

// Reports the first invalid element of a list, as if the element were a setting of its own.
std::string refusal_of_element(const Setting& list, const YamlNode& node, GivenBy by) {
  for (size_t i = 0; i < node.children.size(); ++i) {
    int64_t value = 0;
    const Setting element{concat(list.path, "[", i, "]"), &value, list.limits, ""};
    if (!assign(element, node.children[i])) return refusal_of(element, node.children[i], by);
  }
  throw BugError("no element of " + list.path + " is wrong");
}

}  // namespace

std::string shown(const std::string& text) {
  constexpr size_t kLongest = 200;
  static constexpr char hex[] = "0123456789abcdef";
  std::string out;
  for (std::string_view rest = std::string_view(text).substr(0, kLongest); !rest.empty();) {
    const auto invisible = std::find_if(std::begin(kInvisible), std::end(kInvisible),
                                        [rest](const auto& character) { return rest.starts_with(character.first); });
    const auto byte = static_cast<unsigned char>(rest.front());
    const bool is_control = byte < 0x20 || byte == 0x7f;
    if (invisible != std::end(kInvisible)) {
      out += invisible->second;
    } else {
      out += is_control ? std::string{'\\', 'x', hex[byte >> 4], hex[byte & 15]} : std::string(1, rest.front());
    }
    rest.remove_prefix(invisible != std::end(kInvisible) ? invisible->first.size() : 1);
  }
  return text.size() > kLongest ? concat(out, "... (", text.size(), " bytes)") : out;
}

std::string describe_node(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "has no value";
    case YamlNode::Kind::scalar:
      if (!node.tag.empty()) return concat("is '", shown(node.text), "' with the tag ", shown(node.tag));
      return node.quoted ? "is the text \"" + shown(node.text) + "\"" : "is '" + shown(node.text) + "'";
    case YamlNode::Kind::sequence:
      return "is a list";
    case YamlNode::Kind::map:
      return "is a section";
  }
  return "";
}

std::string refusal_of(const Setting& setting, const YamlNode& node, GivenBy by) {
  if (std::holds_alternative<std::vector<int64_t>*>(setting.value) && node.kind == YamlNode::Kind::sequence)
    return refusal_of_element(setting, node, by);
  return concat(setting.path, " ", describe_node(node), ", expected ", type_of(setting), advice(setting, node, by));
}

}  // namespace birkhoff
