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

// Settings that nothing reads, given the others. To be told where somebody set them, not refused: an ablation switches
// a part off and leaves its settings behind.
struct Unused {
  std::string path;
  std::string why;
};
std::vector<Unused> unused_of(const Config& config);

}  // namespace birkhoff
