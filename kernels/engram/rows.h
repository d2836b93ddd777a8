#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// A token's memory, gathered from the fetched unique rows: e[t, k*D + d] = rows[index[t,k], d].
//
// Shapes:  e [T,K*D]; rows [U,D]; index [T,K] with values in [0, U).
// Types:   e f32 or bf16; rows f32 or bf16 (both f64 on the reference device); index i32.
// Aliases: none.
// Errors:  UserError if a shape disagrees; BugError if an index is out of range.
// Cost:    reads T K rows, writes e once; bound by memory bandwidth. The backward first sorts the T K indices by row,
//          so that each row is summed by a single thread.
// Source:  Engram, arXiv:2601.07372, section 2.2.
struct EngramGatherArgs {
  Tensor e;
  Tensor rows, index;
};
void engram_gather_forward(Stream& stream, const EngramGatherArgs& args);

// drows[u,d] += sum of de[t, k*D + d] over all (t,k) with index[t,k] = u, in the order of (t,k).
//
// Types:   de f32 or bf16; drows f32. The order of the sum does not depend on the number of threads.
struct EngramGatherBackwardArgs {
  Tensor drows;
  Tensor de, index;
};
void engram_gather_backward(Stream& stream, const EngramGatherBackwardArgs& args);

}  // namespace birkhoff
