#pragma once
// Error messages for a value that its setting does not accept: what was given, what was expected, what to do.
#include <string>

#include "trainer/config/yaml_tree.h"
#include "trainer/setting/setting.h"

namespace birkhoff {

// Where the value was given: in the file, or by `--set name=value`. The advice depends on it.
enum class GivenBy : uint8_t { file, option };

// "run.steps is '1e3', expected a whole number of at least 0; write 1000". For a list, reports the first wrong element.
std::string refusal_of(const Setting& setting, const YamlNode& node, GivenBy by);

// A user's text for use in a message: control characters become \xNN, and a long text is cut off.
std::string shown(const std::string& text);

// The part of a message that describes the node: "is '7'", "is a list".
std::string describe_node(const YamlNode& node);

}  // namespace birkhoff
