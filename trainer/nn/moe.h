#pragma once
#include <optional>

#include "trainer/nn/expert_dispatch.h"
#include "trainer/nn/ffn.h"

namespace birkhoff {

// Mixture of experts without token dropping:
//   y = sum over the chosen experts of gate * down_e(swiglu(up_e(x))) + shared(x)
// The router works in f32; kernels/moe/router.h defines the choice, the bias and the gates. A rank routes its own
// tokens. The routed experts are divided over ep and etp, to which an ExpertDispatch brings the tokens; the shared
// experts are divided over tp, as a dense layer is.
// Source: DeepSeek-V3, arXiv:2412.19437, section 2.1.2.
class Moe final : public Module {
 public:
  // `clamp`: FfnOptions::clamp, which applies to all experts too.
  Moe(Build& build, const std::string& name, int64_t channels, const MoeOptions& options, double clamp);

  Tensor forward(Frame& frame, Tensor x_TC) override;
  Tensor backward_input(Frame& frame, Tensor dy_TC) override;
  void backward_weight(Frame& frame) override;
  void visit(ModuleVisitor& visitor) override;

 private:
  struct Saved {
    Tensor scores, index, gate;  // router
    Tensor fraction, counts;     // balance loss
  };
  ExpertDispatch::Tokens tokens(Frame& frame, const Saved& saved, Tensor x_TC) const;
  void route(Frame& frame, Saved& saved, Tensor x_TC);
  // Adds the balance loss. It counts `chosen` if present, else the experts with the K largest scores. Returns what it
  // counted if `record`, else an absent tensor.
  Tensor add_balance_loss(Frame& frame, Saved& saved, bool record, Tensor chosen);
  // y = base + the weighted outputs of the routed experts.
  Tensor run_experts(Frame& frame, const Saved& saved, Tensor x_TC, Tensor base);
  Tensor backward_experts(Frame& frame, const Saved& saved, Tensor dy_TC, Tensor dgate);
  Tensor backward_router(Frame& frame, const Saved& saved, Tensor dgate);

  std::string name_;
  MoeOptions options_;
  DType activation_;
  TokenExchange exchange_;
  Linear router_;
  Experts experts_;
  std::unique_ptr<ExpertDispatch> dispatch_;  // null if this rank holds all experts
  std::optional<Ffn> shared_;
  PersistentBuffer bias_;
  StepCounter load_, balance_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
