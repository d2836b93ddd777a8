#pragma once
// Combinations of settings that cannot be.
#include <string>
#include <vector>

#include "trainer/config/config.h"

namespace birkhoff {

struct Conflict {
  std::vector<std::string> paths;  // the settings that disagree
  std::string expected;            // and what to do
};

// What a config is read for: a description needs no data.
enum class ConfigUse { description, training, evaluation };

// All of them. Needs no file, no device and no number of ranks; values that follow from others are filled.
std::vector<Conflict> conflicts_of(const Config& config, ConfigUse use);

}  // namespace birkhoff
