#pragma once
#include "trainer/models/decoder_options.h"
#include "trainer/nn/embedding.h"

namespace birkhoff {

// The first unit: embeds the tokens of the batch and copies the result to every stream. Its input is an empty State.
// backward_input adds the gradient of the table.
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
