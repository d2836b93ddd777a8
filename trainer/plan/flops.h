#pragma once
#include <string>
#include <vector>

#include "trainer/models/decoder.h"

namespace birkhoff {

// One part of a model's work on matrices, in FLOPs per token, a multiply-add counting two.
struct FlopsTerm {
  std::string name, formula;
  double forward = 0;
  double training = 0;  // forward, backward, and what recomputation repeats
};

// The terms of sequences of `length` tokens without document borders. What they sum to is what the ops report
// (Stream::count_flops): products with weights, attention, coefficients of hyper-connections. A backward costs twice
// the forward, that of attention 2.5 times, since it computes the scores again. Further-token prediction is the last
// term, and trains only.
std::vector<FlopsTerm> flops_terms(const DecoderOptions& options, int64_t length);

}  // namespace birkhoff
