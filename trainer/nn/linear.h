#pragma once
#include "trainer/nn/build.h"
#include "trainer/nn/module.h"
#include "trainer/nn/token_exchange.h"

namespace birkhoff {

// y[t,o] = sum_i x[t,i] w[o,i] (+ b[o]), in the precision of the recipe.
//
// A Linear whose features are divided over a tensor-parallel group of n ranks has other shapes than one that is not:
//   outputs   x [T, I] are the tokens of all ranks (TokenExchange::gather), y [T, O / n] this rank's outputs. The
//             backward returns this rank's summand of dx [T, I], in the dtype of partial results; the caller sums it
//             over the ranks, so that several projections of one input need one exchange.
//   inputs    x [T, I / n] are this rank's inputs for the tokens of all ranks, y [T / n, O] the complete outputs of own
//             tokens: the Linear sums over the ranks itself, and then adds the bias.
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
  // The number of outputs that this rank computes.
  int64_t held_outputs() const { return out_; }

 private:
  void divide();
  bool sums_inputs() const { return options_.divided == Divided::inputs && exchange_.size() > 1; }
  // y of own tokens, from this rank's inputs for all tokens.
  Tensor forward_summed(Frame& frame, Tensor x_TI);

  struct Saved {
    Tensor x, dy;
    Tensor own_dy;  // dy itself, or if sums_inputs() that of own tokens, from which dy was gathered
  };
  int64_t out_, in_;  // that this rank holds
  Options options_;
  DType activation_, output_;
  Parameter weight_, bias_;
  TokenExchange exchange_;
  std::unique_ptr<LinearGemms> gemms_;  // null if this rank holds none of the features; it cannot run then
  Slot<Saved> slot_;
};

}  // namespace birkhoff
