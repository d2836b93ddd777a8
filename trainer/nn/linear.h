#pragma once
#include "trainer/nn/build.h"
#include "trainer/nn/module.h"

namespace birkhoff {

// y[t,o] = sum_i x[t,i] w[o,i] (+ b[o]), in the precision of the recipe.
class Linear final : public Module {
 public:
  // The features that are divided over the ranks of a tensor-parallel group. outputs: column-parallel, each rank
  // computes its own outputs for all tokens. inputs: row-parallel, each rank computes a partial sum over its own
  // inputs.
  enum class Divided : uint8_t { none, outputs, inputs };
  struct Options {
    bool bias = false;
    GemmRole role = GemmRole::linear;
    // Outputs are f32 whatever the dtype of activations is. Router logits need this.
    bool output_f32 = false;
    double init_scale = 1;  // factor of the initial standard deviation
    Divided divided = Divided::none;
    int64_t unit = 1;     // cuts lie at multiples of this many features, such as the width of a head
    Blocks outputs = {};  // the blocks of outputs that separate projections compute; `dim` is 0
  };
  Linear(Build& build, const std::string& name, int64_t out, int64_t in) : Linear(build, name, out, in, Options()) {}
  Linear(Build& build, const std::string& name, int64_t out, int64_t in, const Options& options);

  Tensor forward(Frame& frame, Tensor x_TI) override;
  Tensor backward_input(Frame& frame, Tensor dy_TO) override;
  void backward_weight(Frame& frame) override;
  void visit(ModuleVisitor& visitor) override;

  Parameter& weight() { return weight_; }

 private:
  void divide();

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
