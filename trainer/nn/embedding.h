#pragma once
#include "trainer/nn/build.h"
#include "trainer/nn/module.h"

namespace birkhoff {

// Looks up a row per token id and, if the model has learned positions, adds a row per position. The input and the MTP
// predictors share one object, so it keeps nothing between forward and backward: the caller passes the ids to both.
class Embedding final {
 public:
  Embedding(Build& build, const std::string& name, int64_t vocab_size, int64_t channels, int64_t learned_positions);

  // ids, positions i32 [T] -> [T, C]. Adds no positions if `positions` is absent.
  Tensor forward(Frame& frame, Tensor ids, Tensor positions) const;
  // Adds the gradient of the table to the accumulator of this use (Parameter::grad_of).
  void backward(Frame& frame, Tensor dx, Tensor ids, int use);
  void backward_positions(Frame& frame, Tensor dx, Tensor positions);
  void visit(ModuleVisitor& visitor);
  Parameter& table() { return table_; }

 private:
  DType activation_;
  Parameter table_, positions_;
};

}  // namespace birkhoff
