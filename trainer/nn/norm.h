#pragma once
#include "trainer/nn/build.h"
#include "trainer/nn/module.h"

namespace birkhoff {

// RMSNorm or LayerNorm with a gain (and a bias for LayerNorm), as the model chooses.
class Norm final : public Module {
 public:
  Norm(Build& build, const std::string& name, int64_t channels);

  Tensor forward(Frame& frame, Tensor x) override;
  // The same with the output at a place of the caller's choice.
  void forward_to(Frame& frame, Tensor y, Tensor x);
  // Also adds dL/dgain: there is no product to put off.
  Tensor backward_input(Frame& frame, Tensor dy) override;
  void visit(ModuleVisitor& visitor) override;

 private:
  struct Saved {
    Tensor x, rstd, mean;
  };
  NormType type_;
  double eps_;
  Parameter gain_, bias_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
