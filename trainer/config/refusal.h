#pragma once
// What is said of a value that its setting does not take: what was given, what was expected, what to do.
#include <string>

#include "trainer/setting/setting.h"
#include "trainer/config/yaml_tree.h"

namespace birkhoff {

// Where a value stands, for advice that fits: a line of the file, or `--set name=value`.
enum class GivenBy : uint8_t { file, option };

// "run.steps is '1e3', expected a whole number of at least 0; write 1000". Of a list, the first element that is wrong.
std::string refusal_of(const Setting& setting, const YamlNode& node, GivenBy by);

// Text of a user as a message shows it: control characters as \xNN, and only the beginning of a long one.
std::string shown(const std::string& text);

// "is '7'", "is a list": a node as a message calls it.
std::string describe_node(const YamlNode& node);

}  // namespace birkhoff
