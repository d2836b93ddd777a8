#pragma once
#include "trainer/nn/embedding.h"
#include "trainer/nn/residual.h"

namespace birkhoff {

// The first unit: the embedding of the batch's tokens, once for each stream. Its input is an empty state. The gradient
// of the table is added in backward_input.
class Input final : public StateModule {
 public:
  Input(Build& build, int64_t vocab_size, int64_t channels, int64_t learned_positions, const ResidualOptions& residual);

  State forward(Frame& frame, State) override;
  State backward_input(Frame& frame, State d) override;
  void visit(ModuleVisitor& visitor) override { embedding_.visit(visitor); }
  Embedding& embedding() { return embedding_; }

 private:
  int64_t streams_;
  bool single_pass_, learned_positions_;
  DType activation_;
  Embedding embedding_;
};

}  // namespace birkhoff
