#pragma once
#include "trainer/nn/build.h"
#include "trainer/nn/module.h"

namespace birkhoff {

// y[t,o] = sum_i x[t,i] w[o,i] (+ b[o]), in the precision of the recipe.
class Linear final : public Module {
 public:
  struct Options {
    bool bias = false;
    GemmRole role = GemmRole::linear;
    // Outputs in f32 whatever the activation dtype: router logits.
    bool output_f32 = false;
    double init_scale = 1;  // factor of the initial standard deviation
  };
  Linear(Build& build, const std::string& name, int64_t out, int64_t in) : Linear(build, name, out, in, Options()) {}
  Linear(Build& build, const std::string& name, int64_t out, int64_t in, Options options);

  Tensor forward(Frame& frame, Tensor x_TI) override;
  Tensor backward_input(Frame& frame, Tensor dy_TO) override;
  void backward_weight(Frame& frame) override;
  void visit(ModuleVisitor& visitor) override;

  Parameter& weight() { return weight_; }

 private:
  struct Saved {
    Tensor x, dy;
  };
  int64_t out_, in_;
  Options options_;
  DType activation_, output_;
  Parameter weight_, bias_;
  std::unique_ptr<LinearGemms> gemms_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
