#pragma once
#include <memory>
#include <vector>

#include "trainer/models/decoder_options.h"
#include "trainer/models/mtp.h"
#include "trainer/nn/embedding.h"

namespace birkhoff {

// The last unit: collapse of the streams, norm, product with the vocabulary, loss, and the predictors of further tokens
// with theirs. In training its forward also runs its own backward, right after the loss, so that no logits are kept.
// After it, the head's weight gradients are complete, and backward_input returns the stored dL/dy. It has no output
// state.
class Head final : public StateModule {
 public:
  // `embedding` is that of the input, which the predictors use and a tied head shares, so that both lie in one process;
  // one block for each predictor.
  Head(Build& build, const DecoderOptions& options, Embedding& embedding,
       std::vector<std::unique_ptr<StateModule>> predictor_blocks);

  // Adds to loss_counter() the sums of loss_weights times token losses (in training with their z-losses): [0] of the
  // next token, [d] of depth d. The weights carry the normalizer and the weight of the depth, so the model's loss is
  // the sum of all entries and of the balance losses. An evaluation predicts the next token only.
  State forward(Frame& frame, State y) override;
  State backward_input(Frame& frame, State) override;
  void visit(ModuleVisitor& visitor) override;
  StepCounter& loss_counter() { return loss_; }

 private:
  // The use of the weight at a depth. Of the embedding, use 0 is the input and use d the predictor of depth d; the
  // heads follow where it is tied.
  int use(size_t depth) const;
  // Loss of one depth from its State; in training returns dL/dstate.
  State predict(Frame& frame, State y, size_t depth);
  State predict_further(Frame& frame, State y, State dy);

  bool tied_;
  double z_loss_;
  DType activation_;
  Embedding* embedding_;
  Collapse collapse_;
  Norm norm_;
  Parameter weight_;
  std::unique_ptr<LinearGemms> gemms_;
  std::vector<std::unique_ptr<Mtp>> mtp_;
  StepCounter loss_;
  Slot<State> dy_;
};

}  // namespace birkhoff
