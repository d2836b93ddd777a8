#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/models/block.h"
#include "trainer/nn/attention.h"
#include "trainer/nn/embedding.h"
#include "trainer/nn/hyper_connection.h"
#include "trainer/nn/moe.h"

namespace birkhoff {

// Everything that shapes a decoder, as plain values.
struct DecoderOptions {
  int64_t vocab_size = 0, channels = 0, num_layers = 0;
  bool tie_embeddings = false;
  int64_t learned_positions = 0;  // 0: rotary
  AttentionOptions attention;
  FfnOptions ffn;
  int64_t ffn_hidden = 0;
  MoeOptions moe;  // num_experts 0: every layer is dense
  int64_t first_dense_layers = 0;
  ResidualOptions residual;
  std::vector<int64_t> engram_layers;  // blocks that have Engram, ascending
  EngramOptions engram;
  int64_t mtp_depth = 0;
  Recompute recompute = Recompute::none;
  int64_t recompute_layers = 0;  // streams: blocks to a group; 0: as many as take least memory
  double z_loss = 0;
};

enum class Pass : uint8_t { training, evaluation };

// A further-token predictor: [streams; embedding of the next token] -> one block -> streams, with its own collapse and
// norm.
//   x_0[t,s] = h_proj(norm(x[t,s])) + e_proj(norm(embedding(next token)))
// For one stream this is the M [h; e] of the paper, with M = [h_proj e_proj].
// Source: DeepSeek-V3, arXiv:2412.19437, section 2.2; with streams as in DeepSeek-V4.
class Mtp final {
 public:
  Mtp(Build& build, const std::string& name, int64_t channels, const ResidualOptions& residual,
      std::unique_ptr<StateModule> block);
  State forward(Frame& frame, State main, Tensor embedded);
  struct Gradients {
    State main;
    Tensor embedded;
  };
  // Weight gradients included.
  Gradients backward(Frame& frame, State d);
  void visit(ModuleVisitor& visitor);
  Collapse& collapse() { return collapse_; }
  Norm& norm() { return norm_; }

 private:
  int64_t streams_;
  Norm embedding_norm_, hidden_norm_;
  Linear e_proj_, h_proj_;
  std::unique_ptr<StateModule> block_;
  Collapse collapse_;
  Norm norm_;
};

// Embedding, blocks, head, and multi-token prediction. One microbatch goes through
//   State y = forward(frame);  State dy = loss(frame, y, ...);  backward(frame, dy);
// The head's and the predictors' gradients are complete after loss(): they are the last layers.
class Decoder {
 public:
  Decoder(Build& build, const DecoderOptions& options);

  State forward(Frame& frame);
  // Adds to loss_counter() the sums of loss_weights times token losses (in training with their z-losses): [0] of the
  // next token, [d] of depth d. The weights carry the normalizer and the weight of the depth, so the model's loss is
  // the sum of all entries and of the balance losses. For Pass::training returns dL/dy. nll, where given, f32 [T],
  // receives each token's loss of the next token; an evaluation predicts the next token only.
  State loss(Frame& frame, State y, Pass pass, Tensor nll = {});
  // on_unit_done is called with the number of a unit (as visited) when its gradients of this microbatch are complete.
  using UnitDone = std::function<void(int unit)>;
  void backward(Frame& frame, State dy, const UnitDone& on_unit_done = {});

  void visit(ModuleVisitor& visitor);
  int num_units() const { return static_cast<int>(blocks_.size()) + 2; }
  StepCounter& loss_counter() { return loss_; }
  const DecoderOptions& options() const { return options_; }

 private:
  std::unique_ptr<Block> make_block(Build& build, const std::string& name, int64_t layer);
  void make_blocks(Build& build);
  // The use of the head's weight at a depth. Of the embedding, use 0 is the input and use d the predictor of depth d;
  // the heads follow where it is tied.
  int head_use(int depth) const;
  State first_state(Frame& frame, Tensor embedded);
  // Head and loss on one State: returns dL/dstate for training.
  State head(Frame& frame, State y, int depth, Pass pass, Tensor nll);
  State predict_further(Frame& frame, State y, State dy, Pass pass);

  DecoderOptions options_;
  DType activation_;
  Embedding embedding_;
  std::vector<std::unique_ptr<StateModule>> blocks_;  // each in its recomputation, where there is one
  std::vector<std::unique_ptr<Mtp>> mtp_;
  Collapse collapse_;
  Norm norm_;
  Parameter head_;
  std::unique_ptr<LinearGemms> head_gemms_;
  StepCounter loss_;
  int64_t sites_ = 0;
};

}  // namespace birkhoff
