#pragma once
#include <vector>

#include "trainer/config/check.h"

namespace birkhoff {

// Settings that are each within their limits, but together give a model whose sizes cannot be counted in 64 bits, or
// whose description would take all memory. The bounds are far above what any machine trains. Sizes are estimated from
// above.
std::vector<Conflict> conflicts_of_sizes(const Config& config);

}  // namespace birkhoff
