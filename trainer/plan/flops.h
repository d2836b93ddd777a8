#pragma once
#include <string>
#include <vector>

#include "trainer/models/decoder.h"

namespace birkhoff {

// One part of a model's matrix work, in FLOPs per token. A multiply-add counts as two.
struct FlopsTerm {
  std::string name, formula;
  double forward = 0;
  double training = 0;  // forward, backward, and the forward that recomputation repeats
};

// The terms for sequences of `length` tokens without document borders. Their sum equals what the ops report to
// Stream::count_flops: products with weights, attention, and the coefficients of hyper-connections. A backward costs
// twice the forward; that of attention costs 2.5 times the forward, since it computes the scores again. MTP is the last
// term and counts only in training.
std::vector<FlopsTerm> flops_terms(const DecoderOptions& options, int64_t length);

}  // namespace birkhoff
