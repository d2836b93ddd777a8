#pragma once
#include "kernels/hyper/coefficients.h"
#include "trainer/nn/coefficients.h"
#include "trainer/nn/residual.h"

namespace birkhoff {

// A hyper-connection around one sublayer F = inner(norm(.)):
//   h = sum_s pre[t,s] x[t,s],  y = F(h),  x'[t,i] = post[t,i] y[t] + sum_j comb[t,i,j] x[t,j]
// `coefficients` decides where pre, post and comb come from.
class HyperConnection final : public ReplayedModule {
 public:
  HyperConnection(Build& build, const std::string& name, int64_t channels, int64_t streams, bool recompute_streams,
                  std::unique_ptr<Coefficients> coefficients, std::unique_ptr<Module> inner);
  State forward(Frame& frame, State in) override;
  State replay(Frame& frame, State in) override;
  State backward_input(Frame& frame, State d) override;
  void backward_weight(Frame& frame) override { inner_->backward_weight(frame); }
  void visit(ModuleVisitor& visitor) override;

 private:
  // Takes memory for the coefficients and h of T tokens.
  void take_saved(Frame& frame, HyperSaved& saved, Tensor x);
  // From h on: norm, sublayer, write and mix. Returns the streams.
  Tensor run_sublayer(Frame& frame, HyperSaved& saved);
  Arena& stream_arena(Frame& frame) const { return recompute_ ? frame.transient : frame.activations; }

  std::string name_;
  int64_t channels_, streams_;
  bool recompute_;
  DType activation_;
  std::unique_ptr<Coefficients> coefficients_;
  Norm norm_;
  std::unique_ptr<Module> inner_;
  Slot<HyperSaved> slot_;
};

// Read weights of the first sublayer of a single-pass stack: all of stream 0.
void first_stream_weights(Stream& stream, Tensor pre_TS);

// The streams' end: h = sum_i pre_i x_i. Learned weights for mhc, the last sublayer's for mhc_single_pass, the plain
// sum for hc; nothing to do for plain. Source: DeepSeek-V4 (hc_head).
class Collapse final {
 public:
  Collapse(Build& build, const std::string& name, int64_t channels, const ResidualOptions& options);
  Tensor forward(Frame& frame, State in);
  State backward_input(Frame& frame, Tensor dh);
  void visit(ModuleVisitor& visitor);

 private:
  struct Saved {
    Tensor x, pre, mixes, rstd;
  };
  ResidualType type_;
  int64_t channels_, streams_;
  HyperOptions hyper_;
  Parameter fn_, base_, scale_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
