#pragma once
// Finds combinations of settings that contradict one another.
#include <string>
#include <vector>

#include "trainer/config/config.h"

namespace birkhoff {

struct Conflict {
  std::vector<std::string> paths;  // the settings that disagree
  std::string expected;            // the rule that they break, and what to do
};

// What a config is read for. Only training and evaluation need the data to be named. A description has no ranks, so its
// layout is checked here as far as the model decides; for the other uses check_layout() (layout_rules.h) checks it,
// which knows the number of ranks and tells all reasons at once.
enum class ConfigUse { description, layout, training, evaluation };

// Returns all conflicts. Derived values must already be filled in. Reads no file, and needs neither a device nor the
// number of ranks.
std::vector<Conflict> conflicts_of(const Config& config, ConfigUse use);

}  // namespace birkhoff
