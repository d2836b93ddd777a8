#pragma once
#include <optional>

#include "trainer/nn/ffn.h"
#include "trainer/nn/moe_options.h"

namespace birkhoff {

// Mixture of experts without token dropping:
//   y = sum over the chosen experts of gate * down_e(swiglu(up_e(x))) + shared(x)
// The router works in f32; kernels/moe/router.h defines the choice, the bias and the gates. Token rows are sorted by
// expert, so that each expert multiplies a contiguous run of rows, which may be empty. Under tensor parallelism a rank
// routes its own tokens to experts that every rank holds; only the shared experts are divided.
// Source: DeepSeek-V3, arXiv:2412.19437, section 2.1.2.
class Moe final : public Module {
 public:
  // `clamp`: FfnOptions::clamp, which applies to experts too.
  Moe(Build& build, const std::string& name, int64_t channels, const MoeOptions& options, double clamp);

  Tensor forward(Frame& frame, Tensor x_TC) override;
  Tensor backward_input(Frame& frame, Tensor dy_TC) override;
  void backward_weight(Frame& frame) override;
  void visit(ModuleVisitor& visitor) override;

 private:
  struct Saved {
    Tensor scores, index, gate;        // router
    Tensor fraction, counts;           // balance loss
    Tensor offsets, row_of, token_of;  // order of rows
    Tensor rows, up, inner, out;       // experts
    Tensor gate_rows;                  // [R], gates in the order of rows; only if gates_inner()
    Tensor dout, dup;                  // from backward_input to backward_weight
  };
  void route(Frame& frame, Saved& saved, Tensor x_TC);
  // Adds the balance loss. It counts `chosen` if present, else the experts with the K largest scores. Returns what it
  // counted if `record`, else an absent tensor.
  Tensor add_balance_loss(Frame& frame, Saved& saved, bool record, Tensor chosen);
  Tensor run_experts(Frame& frame, Saved& saved, Tensor x_TC);
  Tensor backward_experts(Frame& frame, Saved& saved, Tensor dy_TC, Tensor dgate);
  void backward_combine(Frame& frame, Saved& saved, Tensor dy_TC, Tensor dgate);
  bool gates_inner() const { return options_.gate_position == GatePosition::inner; }
  Tensor backward_router(Frame& frame, const Saved& saved, Tensor dgate);
  void show_experts(Frame& frame, const Saved& saved) const;

  std::string name_;
  MoeOptions options_;
  double clamp_;
  int64_t channels_;
  DType activation_;
  TokenExchange exchange_;
  Linear router_;
  Parameter up_, down_;  // [E, 2 F, C], [E, C, F]
  std::unique_ptr<GroupedGemms> up_gemms_, down_gemms_;
  std::optional<Ffn> shared_;
  PersistentBuffer bias_;
  StepCounter load_, balance_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
