#pragma once
#include <memory>

#include "trainer/nn/module.h"
#include "trainer/nn/norm.h"
#include "trainer/nn/recompute.h"
#include "trainer/nn/residual_options.h"

namespace birkhoff {

// Describes one residual connection of a model. If it is a hyper-connection, it is a site.
struct ResidualSite {
  int64_t number = 0;  // number of its sublayer in the model, counted from 0
  // Whether streams, sublayer inputs and normed inputs are in the frame's transient memory (see StreamGroup).
  bool recompute_streams = false;
};

// The residual connection around one sublayer F = inner(norm(.)), where `inner` is attention or feed-forward. The
// connection owns the norm, so that it can rebuild the norm's output together with the streams.
std::unique_ptr<ReplayedModule> make_residual(Build& build, const std::string& name, int64_t channels,
                                              ResidualSite site, const ResidualOptions& options,
                                              std::unique_ptr<Module> inner);

}  // namespace birkhoff
