#pragma once
#include <memory>

#include "trainer/nn/module.h"
#include "trainer/nn/norm.h"
#include "trainer/nn/recompute.h"
#include "trainer/nn/residual_options.h"

namespace birkhoff {

// Where a residual connection stands.
struct ResidualSite {
  int64_t number = 0;  // of the sublayers of the model, counted from 0
  // Streams, sublayer inputs and their norms stand in the frame's transient memory (see StreamGroup).
  bool recompute_streams = false;
};

// The residual connection around one sublayer F = inner(norm(.)): attention or feed-forward. The norm is part of F
// and owned here, so that its output can be rebuilt with the streams.
std::unique_ptr<ReplayedModule> make_residual(Build& build, const std::string& name, int64_t channels,
                                              ResidualSite site, const ResidualOptions& options,
                                              std::unique_ptr<Module> inner);

}  // namespace birkhoff
