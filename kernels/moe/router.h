#pragma once
#include <cstdint>

#include "kernels/core/enum_names.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// How a router logit z becomes a score: 1 / (1 + e^-z); sqrt(log(1 + e^z)), computed as sqrt(z) if z > 20; or the
// softmax over all experts.
enum class RouterScore : uint8_t { sigmoid, sqrt_softplus, softmax };
inline EnumNames names_of(RouterScore) {
  static constexpr std::string_view names[] = {"sigmoid", "sqrt_softplus", "softmax"};
  return names;
}

// Chooses K of E experts for every token and weighs them:
//   s[t,e]    = score(logits[t,e]),   b[t,e] = s[t,e] + bias[e]
//   groups    = the num_groups_kept of num_groups equal runs of experts with the largest sum of their two largest b
//   index[t]  = the K experts with the largest b[t,e] in these groups, largest first; ties go to the smaller index
//   gate[t,k] = route_scale * s[t,index[t,k]] / (sum_j s[t,index[t,j]] + 1e-20)      with renormalize, else
//   gate[t,k] = route_scale * s[t,index[t,k]]
//   load[e]  += number of pairs (t, k) with index[t,k] = e and token_mask[t] != 0
// If `chosen` is given, index is a copy of it (recorded or hash routing), and bias and groups are not used.
// A NaN score counts as the smallest, so that index always holds K different experts.
//
// Shapes:  logits, scores [T, E]; index, gate, chosen [T, K]; bias, load [E]; token_mask [T]. scores is kept for
//          backward. bias, token_mask, chosen and load may be absent; without a mask every token counts.
// Types:   logits, scores, gate, bias f32; index, chosen i32; load i64 or f32; token_mask u8.
// Aliases: scores may be logits; index may be chosen.
// Errors:  UserError if a shape or dtype disagrees, if num_groups does not divide E, or if the kept groups hold fewer
//          than K experts; BugError if chosen names an expert that does not exist.
// Cost:    one pass over logits; bound by the exponential and the selection.
// Source:  DeepSeek-V3, arXiv:2412.19437, section 2.1.2; square-root softplus from DeepSeek-V4, arXiv:2606.19348.
struct RouterArgs {
  Tensor index, gate, scores, load;
  Tensor logits, bias, token_mask, chosen;
  RouterScore score = RouterScore::sigmoid;
  int64_t num_groups = 1, num_groups_kept = 1;
  bool renormalize = true;
  double route_scale = 1;
};
void router_forward(Stream& stream, const RouterArgs& args);

// The gradient of the logits, given that of the gates; the choice itself has no gradient. With S = sum_k s_k + 1e-20
// over the chosen experts and c = route_scale:
//   ds[t,index_k] = c / S * (dgate_k - sum_j dgate_j s_j / S)   with renormalize, else c * dgate_k;   0 elsewhere
//   ds           += dscores                                     if given, e.g. by balance_loss_backward
//   dlogits       = ds * s(1-s)  |  ds * (1 - e^(-s^2)) / (2s), 0 at s = 0  |  s * (ds - sum_e ds s)
//
// Shapes:  dlogits, dscores, scores [T, E]; dgate, index [T, K]. dlogits is overwritten; dscores may be absent.
// Types:   as above.
// Aliases: dlogits may be dscores.
// Source:  derived in docs/numerics.md.
struct RouterBackwardArgs {
  Tensor dlogits;
  Tensor dgate, dscores, scores, index;
  RouterScore score = RouterScore::sigmoid;
  bool renormalize = true;
  double route_scale = 1;
};
void router_backward(Stream& stream, const RouterBackwardArgs& args);

}  // namespace birkhoff
