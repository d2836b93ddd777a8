#pragma once
// Where tokens travel whose experts are divided over ranks: rank d of D holds the experts [first + d * each,
// first + (d + 1) * each). The results order rows by rank (moe/expert_order.h).
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// A copy of the token for each of its experts:
//   to[t,k] = the rank that holds expert index[t,k]; -1 if none does, or if token_mask[t] = 0
//
// Shapes:  to, index [T, K]; token_mask [T]. The mask may be absent, which means that every token counts.
// Types:   i32; token_mask u8. index may hold -1 for no expert.
// Aliases: to may be index.
// Errors:  UserError if a shape or dtype disagrees, or if there is no expert.
// Cost:    one pass over index.
// Source:  elementary.
struct PairDestinationsArgs {
  Tensor to;
  Tensor index, token_mask;
  int64_t first = 0, each = 1, num_ranks = 1;
};
void pair_destinations(Stream& stream, const PairDestinationsArgs& args);

// A copy of the token for each rank that holds one of its experts:
//   to[t,d] = d if rank d holds index[t,k] for any k, and token_mask[t] != 0; else -1
//
// Shapes:  to [T, D]; index [T, K]; token_mask [T].
// Aliases: none.
struct TokenDestinationsArgs {
  Tensor to;
  Tensor index, token_mask;
  int64_t first = 0, each = 1;
};
void token_destinations(Stream& stream, const TokenDestinationsArgs& args);

// The numbers of experts among those that a rank holds:
//   own[r,k] = index[r,k] - first if this is in [0, count), else -1
//
// Shapes:  own, index [R, K].
// Aliases: own may be index.
struct OwnExpertsArgs {
  Tensor own;
  Tensor index;
  int64_t first = 0, count = 1;
};
void own_experts(Stream& stream, const OwnExpertsArgs& args);

}  // namespace birkhoff
