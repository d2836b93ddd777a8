#pragma once
#include <memory>
#include <string>

#include "kernels/hyper/coefficients.h"
#include "trainer/nn/build.h"
#include "trainer/nn/module.h"
#include "trainer/nn/residual_options.h"

namespace birkhoff {

// What one site keeps between forward and backward of a microbatch. T tokens, S streams, C channels.
struct HyperSaved {
  Tensor x;                             // the streams that enter the site, [T, S, C]
  Tensor h, normed, y;                  // the sublayer's input before and after its norm, and its output, [T, C]
  Tensor pre, post, comb, mixes, rstd;  // see kernels/hyper/coefficients.h
  Tensor pre_used;  // the pre with which h was read; in the single-pass form that of the previous site, otherwise `pre`
};

// Computes the coefficients of a site: pre reads the sublayer's input from the streams, post writes its output to them,
// and the mixing matrix comb mixes them.
class Coefficients {
 public:
  virtual ~Coefficients() = default;
  // Computes pre, post, comb and h from x; the site has allocated them. In the single-pass form, h is read with
  // `pre_in`, and the return value is the pre for the next site (State::pre). Otherwise `pre_in` and the return value
  // are absent.
  virtual Tensor forward(Frame& frame, HyperSaved& saved, Tensor pre_in) = 0;
  // Gradients computed by the rest of the site. dpre_next is the gradient of the return value of forward().
  struct Gradients {
    Tensor dx, dh, dpost, dcomb, dpre_next;
  };
  // Adds to dx and to the gradients of the parameters. Returns the gradient of `pre_in`, absent if that was absent.
  virtual Tensor backward(Frame& frame, const HyperSaved& saved, const Gradients& gradients) = 0;
  virtual void visit(ModuleVisitor& visitor) = 0;
};

// Converts the options to those of the kernels.
HyperOptions hyper_options(const Build& build, const ResidualOptions& options);

// Coefficients of the type that the options name. `site` is the number of the site in the model, counted from 0.
//   mhc: manifold-constrained hyper-connections, arXiv:2512.24880
//   mhc_single_pass: as mhc, but a site reads the sublayer's input with the pre that the previous site predicted;
//     DeepSeek-V4.1, arXiv:2609.19969, equation 6
//   hc: hyper-connections without a constraint, with static plus dynamic coefficients, arXiv:2409.19606
std::unique_ptr<Coefficients> make_coefficients(Build& build, const std::string& name, int64_t channels, int64_t site,
                                                const ResidualOptions& options);

}  // namespace birkhoff
