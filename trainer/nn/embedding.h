#pragma once
#include "trainer/nn/build.h"
#include "trainer/nn/module.h"
#include "trainer/nn/token_exchange.h"

namespace birkhoff {

// Looks up a row per token id and, if the model has learned positions, adds a row per position. The input and the MTP
// predictors share one object, so it keeps nothing between forward and backward: the caller passes the ids to both.
// Under tensor parallelism the rows of the vocabulary are divided: each rank looks up its rows for the tokens of all
// ranks, and the sum over the ranks, of which one has the row and the others zeros, goes to each token's own rank.
class Embedding final {
 public:
  Embedding(Build& build, const std::string& name, int64_t vocab_size, int64_t channels, int64_t learned_positions);

  // ids i32 [T] of the tokens of all ranks, positions i32 [T / n] of own tokens -> [T / n, C]. Adds no positions if
  // `positions` is absent.
  Tensor forward(Frame& frame, Tensor ids, Tensor positions) const;
  // Adds the gradient of the table to the accumulator of this use (Parameter::grad_of).
  void backward(Frame& frame, Tensor dx, Tensor ids, int use);
  void backward_positions(Frame& frame, Tensor dx, Tensor positions);
  void visit(ModuleVisitor& visitor);
  Parameter& table() { return table_; }

 private:
  Tensor look_up(Frame& frame, Tensor ids) const;

  DType activation_;
  TokenExchange exchange_;
  Parameter table_, positions_;
};

}  // namespace birkhoff
