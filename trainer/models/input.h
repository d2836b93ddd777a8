#pragma once
#include "trainer/models/decoder_options.h"
#include "trainer/nn/embedding.h"

namespace birkhoff {

// The first unit: the embedding of the batch's tokens, once for each stream. Its input is an empty state. The gradient
// of the table is added in backward_input.
class Input final : public StateModule {
 public:
  Input(Build& build, const DecoderOptions& options);

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
