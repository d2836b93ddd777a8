#pragma once
// One setting's value from YAML and to YAML.
#include <string>

#include "trainer/setting/setting.h"
#include "trainer/config/yaml_tree.h"

namespace birkhoff {

// Sets the value, or returns false and leaves it; refusal_of() (refusal.h) then says why. Not for lists of sections.
bool assign(const Setting& setting, const YamlNode& node);

// The value as YAML; reals in the fewest digits that read back equal.
std::string yaml_of(const Setting& setting);

// "number in [0, 1], such as 0.5": what the documentation and the messages call the type.
std::string type_of(const Setting& setting);

}  // namespace birkhoff
