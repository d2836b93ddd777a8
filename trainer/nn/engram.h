#pragma once
#include <optional>

#include "kernels/engram/gate.h"
#include "trainer/nn/linear.h"

namespace birkhoff {

struct EngramOptions {
  int64_t layer = 0;    // index among the model's Engram layers: which rows of the batch are its own
  int64_t columns = 0;  // rows per token: orders x heads
  int64_t head_dim = 0;
  int64_t streams = 1;
  bool bias = false;  // of the projection to keys and value
  EngramGateOptions gate;
  bool conv = false;
  int conv_kernel = 4, conv_dilation = 3;
  double conv_eps = 1e-5;
};

// Conditional memory at the entry of a block: the rows addressed by the token's n-grams, gated into every stream. The
// addresses and the fetched rows come with the batch; row gradients are added to the batch's row gradients.
// Source: Engram, arXiv:2601.07372, sections 2.2-2.4; gate as in DeepSeek-V4.1.
class Engram final : public StateModule {
 public:
  Engram(Build& build, const std::string& name, int64_t channels, const EngramOptions& options);

  State forward(Frame& frame, State in) override;
  State backward_input(Frame& frame, State d) override;
  void backward_weight(Frame& frame) override;
  void visit(ModuleVisitor& visitor) override;
  const EngramOptions& options() const { return options_; }

 private:
  struct Saved {
    Tensor h, kv, value, gate, score, rstd_h, rstd_k, conv_rstd;
  };
  std::string name_;
  EngramOptions options_;
  DType activation_;
  Linear wkv_;
  Parameter w_h_, w_k_, conv_gain_, conv_weight_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
