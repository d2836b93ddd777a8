#pragma once
#include <memory>

#include "trainer/nn/module.h"
#include "trainer/nn/norm.h"
#include "trainer/nn/recompute.h"

namespace birkhoff {

enum class ResidualKind : uint8_t { plain, hc, mhc, mhc_single_pass };

struct ResidualOptions {
  ResidualKind kind = ResidualKind::plain;
  int64_t streams = 1;  // 1 for plain
  int sinkhorn_iterations = 20;
  double eps = 1e-6;         // of the mixing weights
  double norm_eps = 1e-6;    // of the norm that feeds the coefficients
  double post_factor = 2;    // of the sigmoid that weighs a sublayer's output (mhc)
  double alpha_init = 0.01;  // initial gating factors
  double fn_std = 0.02;
  double diagonal_init = 0;  // initial logit of a stream's mix with itself
  // Streams, sublayer inputs and their norms stand in the frame's transient memory (see StreamGroup).
  bool recompute_streams = false;
};

// The residual connection around one sublayer F = inner(norm(.)): attention or feed-forward. Number `site` counts the
// sublayers of the model from 0. The norm is part of F and owned here, so that its output can be rebuilt with the
// streams.
std::unique_ptr<ReplayedModule> make_residual(Build& build, const std::string& name, int64_t channels, int64_t site,
                                              const ResidualOptions& options, std::unique_ptr<Module> inner);

}  // namespace birkhoff
