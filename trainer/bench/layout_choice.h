#pragma once
#include <string>
#include <vector>

#include "parallel/mesh/layout.h"
#include "trainer/config/config.h"

namespace birkhoff {

// The layouts of a config on exactly `ranks` ranks that `birkhoff bench layout` compares: dp alone first, then those of
// `list`, such as "tp2,ep2", in which dp is what the other axes leave. "all" names every layout that the config allows;
// "" names those that divide, besides dp, along tp or ep alone. None is named twice. Layouts with ep that do not say
// "grouped" have the dispatch of the config.
// Errors: UserError if a layout of the list, or dp alone, cannot be.
std::vector<MeshDegrees> bench_layouts(const Config& config, const std::string& list, int ranks);

// The config with the degrees and the dispatch of the layout.
Config with_layout(Config config, const MeshDegrees& layout);

}  // namespace birkhoff
