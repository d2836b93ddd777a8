#pragma once
// Converts the value of one setting from YAML and to YAML.
#include <string>

#include "trainer/config/yaml_tree.h"
#include "trainer/setting/setting.h"

namespace birkhoff {

// Sets the value from the node. If the node is not valid for the setting, returns false and leaves the value unchanged;
// refusal_of() (refusal.h) then gives the reason. Not for lists of sections.
bool assign(const Setting& setting, const YamlNode& node);

// The value as YAML. Real numbers get the fewest digits that read back equal.
std::string yaml_of(const Setting& setting);

// "a number in [0, 1]": the type as documentation and messages name it.
std::string type_of(const Setting& setting);

}  // namespace birkhoff
