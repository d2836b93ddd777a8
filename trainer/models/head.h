#pragma once
#include <memory>
#include <vector>

#include "kernels/loss/head_loss.h"
#include "trainer/models/decoder_options.h"
#include "trainer/models/mtp.h"
#include "trainer/nn/embedding.h"

namespace birkhoff {

// The last unit. It collapses the streams, normalizes, multiplies by the output matrix, computes the loss, and does the
// same for each MTP predictor. In training its forward runs its own backward right after the loss, so that no logits
// are kept. The gradients of the head's and the predictors' parameters are complete after forward; backward_input only
// returns the stored gradient of its input. The output state is empty.
// Under tensor parallelism the rows of the vocabulary are divided: a rank multiplies the tokens of all ranks by its
// rows, the ranks exchange what the softmax of a token needs, and each adds the losses of its own tokens.
class Head final : public StateModule {
 public:
  // `embedding` is the embedding of the input. The MTP predictors use it and a tied head shares it, so both units must
  // be in one process. `predictor_blocks`: one block for each predictor.
  Head(Build& build, const DecoderOptions& options, Embedding& embedding,
       std::vector<std::unique_ptr<StateModule>> predictor_blocks);

  // Adds to loss_counter() the sums of loss_weights times token losses, which in training include z-losses: entry 0 for
  // the next token, entry d for MTP depth d. The weights include the normalizer and the weight of the depth, so the
  // loss of the model is the sum of all entries and the balance losses. An evaluation predicts only the next token.
  State forward(Frame& frame, State y) override;
  State backward_input(Frame& frame, State) override;
  void visit(ModuleVisitor& visitor) override;
  StepCounter& loss_counter() { return loss_; }

 private:
  // The use (Parameter::grad_of) of the head's weight at this depth. A tied weight is the table of the embedding. Its
  // use 0 is the input, and its use d is the predictor of depth d. The uses by the head follow.
  int use(size_t depth) const;
  // Adds the loss of one depth, computed from its State. In training returns the gradient of that State.
  State predict(Frame& frame, State y, size_t depth);
  // Forward and backward of all MTP predictors. `y` is the output of the last block and `dy` its gradient from depth 0.
  // Returns the whole gradient of `y`.
  State predict_mtp(Frame& frame, State y, State dy);

  Parameter& weight() { return tied_ ? embedding_->table() : weight_; }
  VocabularyPart part_of_rank(const Frame& frame);

  bool tied_;
  double z_loss_;
  DType activation_;
  TokenExchange exchange_;
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
