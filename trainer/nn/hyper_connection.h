#pragma once
#include "kernels/hyper/coefficients.h"
#include "trainer/nn/residual.h"

namespace birkhoff {

// What a hyper-connection keeps of a microbatch.
struct HyperSaved {
  Tensor x, h, normed, y;               // streams [T, S, C] in; the sublayer's input, its norm, its output [T, C]
  Tensor pre, post, comb, mixes, rstd;  // see kernels/hyper/coefficients.h
  Tensor pre_used;                      // single pass: the weights that read h, predicted one sublayer earlier
};

// The part that every hyper-connection shares: read, sublayer, write and mix; and their replay.
class HyperConnectionBase : public Residual {
 public:
  State replay(Frame& frame, State in) override;
  void backward_weight(Frame& frame) override { inner_->backward_weight(frame); }
  Tensor comb(Frame& frame) override { return frame.saved(slot_).comb; }

 protected:
  HyperConnectionBase(Build& build, const std::string& name, int64_t channels, const ResidualOptions& options,
                      std::unique_ptr<Module> inner);
  // Takes coefficients and h for T tokens.
  void take_saved(Frame& frame, HyperSaved& saved, Tensor x);
  // From h on: norm, sublayer, write and mix. Returns the streams.
  Tensor run_sublayer(Frame& frame, HyperSaved& saved);
  // Overwrites dx, dpost, dcomb; returns dL/dh.
  Tensor backward_sublayer(Frame& frame, const HyperSaved& saved, Tensor dx_next, Tensor dx, Tensor dpost,
                           Tensor dcomb);
  Arena& stream_arena(Frame& frame) const { return recompute_ ? frame.transient : frame.activations; }

  std::string name_;
  int64_t channels_, streams_;
  bool recompute_;
  DType activation_;
  Norm norm_;
  std::unique_ptr<Module> inner_;
  Slot<HyperSaved> slot_;
};

// Manifold-constrained hyper-connection, and its single-pass form, in which the sublayer's input is read with the
// weights that the previous sublayer predicted (State::pre). Source: mHC, arXiv:2512.24880; single pass: DeepSeek-V4.1,
// arXiv:2609.19969, equation 6.
class HyperConnection final : public HyperConnectionBase {
 public:
  HyperConnection(Build& build, const std::string& name, int64_t channels, const ResidualOptions& options,
                  std::unique_ptr<Module> inner);
  State forward(Frame& frame, State in) override;
  State backward_input(Frame& frame, State d) override;
  void visit(ModuleVisitor& visitor) override;

 private:
  bool single_pass_;
  HyperOptions hyper_;
  Parameter fn_, base_, scale_;
};

// Hyper-connections without a constraint, static plus dynamic. Source: arXiv:2409.19606.
class UnconstrainedHyperConnection final : public HyperConnectionBase {
 public:
  UnconstrainedHyperConnection(Build& build, const std::string& name, int64_t channels, int64_t site,
                               const ResidualOptions& options, std::unique_ptr<Module> inner);
  State forward(Frame& frame, State in) override;
  State backward_input(Frame& frame, State d) override;
  void visit(ModuleVisitor& visitor) override;

 private:
  double norm_eps_;
  Parameter fn_, base_, scale_;
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
  ResidualKind kind_;
  int64_t channels_, streams_;
  HyperOptions hyper_;
  Parameter fn_, base_, scale_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
