#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Raises the selection bias of underloaded experts and lowers that of overloaded ones. Called once per step with the
// loads of the whole global batch:
//   bias[e] += speed * sign(mean_j(load[j]) - load[e])
//
// Shapes:  bias, load [E].
// Types:   bias f32; load i64 or f32. The sign is exact for integer loads.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    two passes over E numbers, on one thread.
// Source:  DeepSeek-V3, arXiv:2412.19437, section 2.1.2; Wang et al. 2024, arXiv:2408.15664, algorithm 1.
struct RouterBiasUpdateArgs {
  Tensor bias;
  Tensor load;
  double speed = 1e-3;
};
void router_bias_update(Stream& stream, const RouterBiasUpdateArgs& args);

}  // namespace birkhoff
