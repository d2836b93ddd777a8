#include "trainer/models/mtp.h"

#include "kernels/elementwise/add.h"
#include "kernels/elementwise/copy.h"
#include "kernels/hyper/streams.h"

namespace birkhoff {

Mtp::Mtp(Build& build, const std::string& name, int64_t channels, const ResidualOptions& residual,
         std::unique_ptr<StateModule> block)
    : streams_(residual.num_streams()),
      embedding_norm_(build.set_part(Part::projections), name + ".enorm", channels),
      hidden_norm_(build, name + ".hnorm", channels),
      e_proj_(build, name + ".e_proj", channels, channels),
      h_proj_(build, name + ".h_proj", channels, channels),
      block_(std::move(block)),
      collapse_(build, name + ".collapse", channels, residual),
      norm_(build.set_part(Part::projections), name + ".norm", channels) {}

State Mtp::forward(Frame& f, State main, Tensor embedded) {
  const int64_t T = main.x.shape[0], C = main.x.shape[2];
  const Tensor hidden = h_proj_.forward(f, hidden_norm_.forward(f, main.x.view({T * streams_, C})));
  const Tensor e = e_proj_.forward(f, embedding_norm_.forward(f, embedded));
  const Tensor x = f.take(hidden.dtype, {T, streams_, C});
  hyper_expand(f.stream, {x, e});
  add(f.stream, {x, x, hidden});
  // In the single-pass form, each site predicts the weights `pre` with which the next site reads the streams. The first
  // site of the predictor uses main.pre, from the last site before the predictor.
  return block_->forward(f, {x, main.pre});
}

Mtp::Gradients Mtp::backward(Frame& f, State d) {
  const int64_t T = d.x.shape[0], C = d.x.shape[2];
  const State dx = block_->backward_input(f, d);
  // e was added to every stream, so its gradient is the sum of the gradients of the streams.
  const Tensor de = f.take_gradient(dx.x.dtype, {T, C});
  hyper_collapse(f.stream, {de, dx.x});
  Gradients out;
  out.embedded = embedding_norm_.backward_input(f, e_proj_.backward_input(f, de));
  const Tensor dhidden = h_proj_.backward_input(f, dx.x.view({T * streams_, C}));
  out.main = {hidden_norm_.backward_input(f, dhidden).view({T, streams_, C}), dx.pre};
  // Computes the weight gradients here too: the head runs its backward inside its forward, and no action of the program
  // calls backward_weight() of a predictor later.
  block_->backward_weight(f);
  e_proj_.backward_weight(f);
  h_proj_.backward_weight(f);
  return out;
}

void Mtp::visit(ModuleVisitor& v) {
  embedding_norm_.visit(v);
  hidden_norm_.visit(v);
  e_proj_.visit(v);
  h_proj_.visit(v);
  block_->visit(v);
  collapse_.visit(v);
  norm_.visit(v);
}

}  // namespace birkhoff
