#pragma once
#include "trainer/nn/build.h"
#include "trainer/nn/module.h"

namespace birkhoff {

// RMSNorm with a gain, or LayerNorm with a gain and a bias, as Build::norm chooses.
class Norm final : public Module {
 public:
  Norm(Build& build, const std::string& name, int64_t channels);

  Tensor forward(Frame& frame, Tensor x) override;
  // The same, with the output in a tensor of the caller.
  void forward_to(Frame& frame, Tensor y, Tensor x);
  // Also adds the gradients of gain and bias: they need no matrix product that a program would want to defer.
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
