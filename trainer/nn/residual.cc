#include "trainer/nn/residual.h"

#include "kernels/elementwise/add.h"
#include "trainer/nn/hyper_connection.h"

namespace birkhoff {
namespace {

// x + inner(norm(x)), on a single stream.
class PlainResidual final : public ReplayedModule {
 public:
  PlainResidual(Build& build, const std::string& name, int64_t channels, std::unique_ptr<Module> inner)
      : name_(name), norm_(build.set_part(Part::block_norms), name + ".norm", channels), inner_(std::move(inner)) {}

  State forward(Frame& f, State in) override {
    const Tensor x_TC = in.x.view({in.x.shape[0], in.x.shape[2]});
    const Tensor normed = norm_.forward(f, x_TC);
    if (f.wants_values()) f.show("the output of " + name_ + ".norm", normed);
    const Tensor y_TC = inner_->forward(f, normed);
    if (f.wants_values()) f.show("the output of " + name_, y_TC);
    const Tensor out = f.take(x_TC.dtype, in.x.shape);
    add(f.stream, {out, x_TC, y_TC});
    return {out, {}};
  }
  State replay(Frame&, State) override {
    throw BugError("replay() was called on a plain residual connection, which keeps its activations");
  }

  State backward_input(Frame& f, State d) override {
    const Tensor dy_TC = d.x.view({d.x.shape[0], d.x.shape[2]});
    const Tensor branch = norm_.backward_input(f, inner_->backward_input(f, dy_TC));
    const Tensor dx = f.take_gradient(dy_TC.dtype, d.x.shape);
    add(f.stream, {dx, dy_TC, branch});
    return {dx, {}};
  }
  void backward_weight(Frame& f) override { inner_->backward_weight(f); }
  void visit(ModuleVisitor& v) override {
    norm_.visit(v);
    inner_->visit(v);
  }

 private:
  std::string name_;
  Norm norm_;
  std::unique_ptr<Module> inner_;
};

}  // namespace

std::unique_ptr<ReplayedModule> make_residual(Build& build, const std::string& name, int64_t channels,
                                              ResidualSite site, const ResidualOptions& options,
                                              std::unique_ptr<Module> inner) {
  switch (options.type) {
    case ResidualType::plain:
      return std::make_unique<PlainResidual>(build, name, channels, std::move(inner));
    case ResidualType::hc:
    case ResidualType::mhc:
    case ResidualType::mhc_single_pass:
      return std::make_unique<HyperConnection>(build, name, channels, options.num_streams(), site.recompute_streams,
                                               make_coefficients(build, name, channels, site.number, options),
                                               std::move(inner));
  }
  throw BugError("unknown residual type");
}

}  // namespace birkhoff
