#pragma once
#include "kernels/hyper/coefficients.h"
#include "trainer/nn/coefficients.h"
#include "trainer/nn/residual.h"

namespace birkhoff {

// One site: a hyper-connection around one sublayer F = inner(norm(.)).
//   h[t] = sum_i pre[t,i] x[t,i],   y = F(h),   x_next[t,j] = post[t,j] y[t] + sum_i comb[t,i,j] x[t,i]
// `coefficients` computes pre, post and comb.
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
  // Allocates pre, post, comb and h.
  void take_saved(Frame& frame, HyperSaved& saved, Tensor x);
  // Runs everything that follows h: norm, sublayer, write and mix. Returns x_next.
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

// Sets the pre of the first site in the single-pass form, which no earlier site predicts: 1 for stream 0, 0 for the
// others. All streams are equal there.
void first_stream_weights(Stream& stream, Tensor pre_TS);

// Collapses the streams to one at their end: h[t] = sum_i pre[t,i] x[t,i]. With mhc, pre comes from parameters of its
// own; with mhc_single_pass, the last site predicted it; with hc it is 1, a plain sum. With plain there is one stream
// and h is x. Source: DeepSeek-V4 (hc_head).
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
