#include "trainer/nn/hyper_connection.h"

#include "kernels/hyper/read.h"
#include "kernels/hyper/write_mix.h"

namespace birkhoff {

HyperConnection::HyperConnection(Build& build, const std::string& name, int64_t channels, int64_t streams,
                                 bool recompute_streams, std::unique_ptr<Coefficients> coefficients,
                                 std::unique_ptr<Module> inner)
    : name_(name),
      channels_(channels),
      streams_(streams),
      recompute_(recompute_streams),
      activation_(build.precision.activation()),
      coefficients_(std::move(coefficients)),
      norm_(build.set_part(Part::block_norms), name + ".norm", channels),
      inner_(std::move(inner)),
      slot_(build.slot<HyperSaved>()) {}

void HyperConnection::take_saved(Frame& f, HyperSaved& s, Tensor x) {
  const int64_t T = x.shape[0], S = streams_;
  s.x = x;
  s.pre = f.take_statistic({T, S});
  s.post = f.take_statistic({T, S});
  // The memory that a recomputed block takes from `activations` is released after its forward, before an instrument
  // reads comb.
  const bool observed = f.counts() && f.instrument != nullptr && f.instrument->wants_mixing();
  s.comb = (observed ? f.observed : f.activations).take(Precision::statistic(), {T, S, S});
  if (observed) f.instrument->will_mix(s.comb);
  s.h = stream_arena(f).take(activation_, {T, channels_});
}

Tensor HyperConnection::run_sublayer(Frame& f, HyperSaved& s) {
  s.normed = stream_arena(f).take(activation_, s.h.shape);
  norm_.forward_to(f, s.normed, s.h);
  if (f.wants_values()) {
    for (const Tensor& t : {s.pre, s.post, s.comb}) f.show("the mixing coefficients of " + name_, t);
    f.show("the output of " + name_ + ".norm", s.normed);
  }
  s.y = inner_->forward(f, s.normed);
  if (f.wants_values()) f.show("the output of " + name_, s.y);
  const Tensor x_next = stream_arena(f).take(activation_, s.x.shape);
  hyper_write_mix_forward(f.stream, {x_next, s.x, s.y, s.post, s.comb});
  return x_next;
}

State HyperConnection::forward(Frame& f, State in) {
  HyperSaved& s = f.saved(slot_);
  take_saved(f, s, in.x);
  const Tensor pre_next = coefficients_->forward(f, s, in.pre);
  return {run_sublayer(f, s), pre_next};
}

// Allocates in the same order as forward(), so every tensor gets the address that the modules saved. The coefficients
// and the sublayer's output y were kept, so they are not computed again.
State HyperConnection::replay(Frame& f, State in) {
  const HyperSaved& s = f.saved(slot_);
  const Tensor h = stream_arena(f).take(activation_, s.h.shape);
  BK_ASSERT(h.data == s.h.data && in.x.data == s.x.data, "replay moved an activation");
  hyper_read_forward(f.stream, {h, in.x, s.pre_used});
  const Tensor normed = stream_arena(f).take(activation_, s.h.shape);
  norm_.forward_to(f, normed, h);
  const Tensor x_next = stream_arena(f).take(activation_, s.x.shape);
  hyper_write_mix_forward(f.stream, {x_next, in.x, s.y, s.post, s.comb});
  return {x_next, {}};
}

State HyperConnection::backward_input(Frame& f, State d) {
  const HyperSaved& s = f.saved(slot_);
  // The order matters: write_mix overwrites dx, then the coefficients (with the read) add to it.
  const Tensor dx = f.take_gradient(activation_, s.x.shape), dy = f.take_gradient(activation_, s.y.shape);
  const Tensor dpost = f.take_statistic_gradient(s.post.shape), dcomb = f.take_statistic_gradient(s.comb.shape);
  hyper_write_mix_backward(f.stream, {.dx = dx,
                                      .dy = dy,
                                      .dpost = dpost,
                                      .dcomb = dcomb,
                                      .dx_next = d.x,
                                      .x = s.x,
                                      .y = s.y,
                                      .post = s.post,
                                      .comb = s.comb});
  const Tensor dh = norm_.backward_input(f, inner_->backward_input(f, dy));
  const Tensor dpre = coefficients_->backward(f, s, {dx, dh, dpost, dcomb, d.pre});
  return {dx, dpre};
}

void HyperConnection::visit(ModuleVisitor& v) {
  coefficients_->visit(v);
  norm_.visit(v);
  inner_->visit(v);
}

}  // namespace birkhoff
