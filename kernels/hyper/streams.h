#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// The start and the end of the streams. Each is the transpose of the other, so each is the backward of the other with
// the same factor:
//   hyper_expand:    x[t,i,c] = factor * h[t,c]            factor 1 copies an embedding to every stream
//   hyper_collapse:  h[t,c]   = factor * sum_i x[t,i,c]    factor 1 sums, 1/S averages
//
// Shapes:  x [T,S,C]; h [T,C]. The output is overwritten.
// Types:   x, h have the same dtype, f32 or bf16. Sums are in f32 and rounded once.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads its input and writes its output once; bound by memory bandwidth.
// Source:  hyper-connections, arXiv:2409.19606, section 2.
struct HyperExpandArgs {
  Tensor x;
  Tensor h;
  double factor = 1;
};
void hyper_expand(Stream& stream, const HyperExpandArgs& args);

struct HyperCollapseArgs {
  Tensor h;
  Tensor x;
  double factor = 1;
};
void hyper_collapse(Stream& stream, const HyperCollapseArgs& args);

}  // namespace birkhoff
