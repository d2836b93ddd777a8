#pragma once
#include "trainer/nn/build.h"
#include "trainer/nn/module.h"

namespace birkhoff {

// Rows of a table by token id, plus, where the model has learned positions, a row per position. Used at several places
// of a model (input, multi-token prediction), so nothing is kept here: ids come with every call.
class Embedding final {
 public:
  Embedding(Build& build, const std::string& name, int64_t vocab_size, int64_t channels, int64_t learned_positions);

  // ids, positions i32 [T] -> [T, C]. `positions` is absent where no position is to be added.
  Tensor forward(Frame& frame, Tensor ids, Tensor positions) const;
  // Adds to the accumulator that the table has for this use.
  void backward(Frame& frame, Tensor dx, Tensor ids, int use);
  void backward_positions(Frame& frame, Tensor dx, Tensor positions);
  void visit(ModuleVisitor& visitor);
  Parameter& table() { return table_; }

 private:
  DType activation_;
  Parameter table_, positions_;
};

}  // namespace birkhoff
