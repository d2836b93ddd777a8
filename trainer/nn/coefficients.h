#pragma once
#include <memory>
#include <string>

#include "kernels/hyper/coefficients.h"
#include "trainer/nn/build.h"
#include "trainer/nn/module.h"
#include "trainer/nn/residual_options.h"

namespace birkhoff {

// What a site of a hyper-connection keeps of a microbatch. T tokens, S streams, C channels.
struct HyperSaved {
  Tensor x, h, normed, y;               // streams [T, S, C] in; the sublayer's input, its norm, its output [T, C]
  Tensor pre, post, comb, mixes, rstd;  // see kernels/hyper/coefficients.h
  Tensor pre_used;                      // single pass: the weights that read h, predicted one sublayer earlier
};

// How a site computes the weights that read its streams (pre), write to them (post) and mix them (comb).
class Coefficients {
 public:
  virtual ~Coefficients() = default;
  // Fills pre, post, comb and h, whose memory the site has taken, from x and, in a single pass, from `pre_in`. Returns
  // the weights that read the next site: State::pre.
  virtual Tensor forward(Frame& frame, HyperSaved& saved, Tensor pre_in) = 0;
  // The gradients that the rest of the site has found. dpre_next is that of what forward returned.
  struct Gradients {
    Tensor dx, dh, dpost, dcomb, dpre_next;
  };
  // Adds to dx and to the gradients of the parameters; returns the gradient of `pre_in`.
  virtual Tensor backward(Frame& frame, const HyperSaved& saved, const Gradients& gradients) = 0;
  virtual void visit(ModuleVisitor& visitor) = 0;
};

// What the kernels take of the options.
HyperOptions hyper_options(const Build& build, const ResidualOptions& options);

// Those of the kind that the options name, for the site number `site` of the model.
//   mhc, mhc_single_pass: manifold-constrained hyper-connections, arXiv:2512.24880; in the single-pass form the
//     sublayer's input is read with the weights that the previous sublayer predicted: DeepSeek-V4.1, arXiv:2609.19969,
//     equation 6
//   hc: hyper-connections without a constraint, static plus dynamic, arXiv:2409.19606
std::unique_ptr<Coefficients> make_coefficients(Build& build, const std::string& name, int64_t channels, int64_t site,
                                                const ResidualOptions& options);

}  // namespace birkhoff
