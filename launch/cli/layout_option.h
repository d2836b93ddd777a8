#pragma once
#include <string>
#include <vector>

#include "trainer/config/reader.h"

namespace birkhoff {

inline constexpr const char* kLayoutHelp =
    "tp2.dp2.ep4 and the like: short for --set parallel.AXIS=DEGREE of each axis that it names";

// Reads a config as load_config() does, with the degrees of the layout in place of those of the file. An empty layout
// is none.
// Errors: as those of load_config(); UserError if the layout cannot be read or an override gives an axis another
// degree.
LoadedConfig load_with_layout(const std::string& path, const std::string& layout,
                              const std::vector<std::string>& overrides, ConfigUse use);

}  // namespace birkhoff
