#include "trainer/nn/moe.h"

#include "kernels/activation/swiglu.h"
#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/copy.h"
#include "kernels/moe/balance_loss.h"
#include "kernels/moe/expert_order.h"
#include "kernels/moe/permute.h"

namespace birkhoff {

Moe::Moe(Build& build, const std::string& name, int64_t channels, const MoeOptions& o, double clamp)
    : name_(name),
      options_(o),
      clamp_(clamp),
      channels_(channels),
      activation_(build.precision.activation()),
      exchange_(build),
      router_(build.set_part(Part::routers), name + ".gate", o.num_experts, channels,
              Linear::Options{.role = GemmRole::exact, .output_f32 = true}),
      up_gemms_(build.precision.grouped(o.num_experts, 2 * o.expert_size, channels)),
      down_gemms_(build.precision.grouped(o.num_experts, channels, o.expert_size)),
      slot_(build.slot<Saved>()) {
  const int64_t E = o.num_experts, F = o.expert_size;
  build.set_part(Part::routed_experts);
  up_ = build.parameter(name + ".experts.up", {E, 2 * F, channels}, Role::experts, Init::normal(build.init.std));
  up_.division.blocks = {1, 1, {F, F}};
  up_.division.cuts = {{0, Axis::ep}, {1, Axis::etp}};
  const double down_std = build.init.std * build.init.output_scale;
  down_ = build.parameter(name + ".experts.down", {E, channels, F}, Role::experts, Init::normal(down_std));
  down_.division.cuts = {{0, Axis::ep}, {2, Axis::etp}};
  if (o.num_shared > 0) {
    const FfnOptions shared{.size = o.num_shared * F, .clamp = clamp};
    shared_.emplace(build.set_part(Part::shared_experts), name + ".shared", channels, shared);
  }
  bias_ = {name + ".gate.bias", {E}, build.predictor};
  load_ = {name + ".load", {E}, StepCounter::Kind::load};
  balance_ = {name + ".balance_loss", {1}, StepCounter::Kind::balance_loss};
}

void Moe::route(Frame& f, Saved& s, Tensor x_TC) {
  const int64_t T = x_TC.shape[0], E = options_.num_experts, K = options_.top_k;
  const Tensor logits = router_.forward(f, x_TC);
  if (f.wants_values()) f.show("the router logits of " + name_, logits);
  s.scores = f.take_statistic({T, E});
  s.index = f.take_index({T, K});
  s.gate = f.take_statistic({T, K});
  RouterArgs args;
  args.index = s.index;
  args.gate = s.gate;
  args.scores = s.scores;
  args.load = f.counts() ? load_.value : Tensor{};  // a replay or an evaluation must not count
  args.logits = logits;
  args.bias = bias_.value;
  args.token_mask = BK_DEFECT("D12 padding counted") ? Tensor{} : f.batch.own_of(f.batch.token_mask);
  args.score = options_.score_function;
  args.num_groups = options_.num_groups;
  args.num_groups_kept = options_.top_groups;
  args.renormalize = options_.renormalize;
  args.route_scale = options_.route_scale;
  const Instrument::Routing fixed = f.instrument ? f.instrument->replay_routing(name_) : Instrument::Routing{};
  args.chosen = fixed.experts;
  router_forward(f.stream, args);
  const bool records = f.chooses() && f.instrument && f.instrument->records_routing();
  const Tensor balance = add_balance_loss(f, s, records, fixed.balance);
  if (records) f.instrument->record_routing(name_, {s.index, balance, s.scores, bias_.value});
}

Tensor Moe::add_balance_loss(Frame& f, Saved& s, bool record, Tensor chosen) {
  if (options_.sequence_balance_loss == 0) return {};
  const int64_t T = s.scores.shape[0], E = options_.num_experts, K = options_.top_k;
  const Tensor index = record ? f.take_index({T, K}) : Tensor{};
  const int64_t sequences = f.batch.sequences;
  s.fraction = f.take_statistic({sequences, E});
  s.counts = f.take(kBalanceSums, {sequences, E + 1});
  const ArenaScope scope(f.gradient_arena());
  const Tensor probability = f.take_gradient(kBalanceSums, {sequences, E});
  balance_counts(f.stream, {.probability = probability,
                            .counts = s.counts,
                            .index = index,
                            .scores = s.scores,
                            .chosen = chosen,
                            .token_mask = f.batch.own_of(f.batch.token_mask),
                            .first = f.batch.own.begin,
                            .length = f.batch.length,
                            .num_chosen = K});
  // A sequence may lie on several ranks, so its fractions need the counts of all of them.
  if (!BK_DEFECT("D13 balance loss with the rank's own counts")) exchange_.sum_over_ranks(f, s.counts);
  // A replay needs `fraction` again, but must not count the loss a second time: it adds it to a scratch tensor.
  const Tensor unused = f.take_statistic_gradient({1});
  if (!f.counts()) fill_zero(f.stream, unused);
  balance_loss_forward(f.stream, {.loss = f.counts() ? balance_.value : unused,
                                  .fraction = s.fraction,
                                  .probability = probability,
                                  .counts = s.counts,
                                  .num_chosen = K,
                                  .alpha = options_.sequence_balance_loss,
                                  .weight = f.batch.sequence_weight});
  return index;
}

Tensor Moe::run_experts(Frame& f, Saved& s, Tensor x_TC) {
  const int64_t T = x_TC.shape[0], K = options_.top_k, R = T * K, F = options_.expert_size;
  s.offsets = f.take_offset({options_.num_experts + 1});
  s.row_of = f.take_index({T, K});
  s.token_of = f.take_index({R});
  expert_order(f.stream, {s.offsets, s.row_of, s.token_of, s.index});
  s.rows = f.take(activation_, {R, channels_});
  permute_forward(f.stream, {s.rows, x_TC, s.token_of});
  s.up = f.take(activation_, {R, 2 * F});
  up_gemms_->forward(f.stream, s.up, s.rows, {up_.value, up_.version}, s.offsets);
  s.inner = f.take(activation_, {R, F});
  if (gates_inner()) {
    s.gate_rows = f.take_statistic({R});
    permute_gate_forward(f.stream, {s.gate_rows, s.gate, s.row_of});
  }
  swiglu_forward(f.stream, {s.inner, s.up, s.gate_rows, clamp_});
  s.out = f.take(activation_, {R, channels_});
  down_gemms_->forward(f.stream, s.out, s.inner, {down_.value, down_.version}, s.offsets);
  if (f.wants_values()) show_experts(f, s);
  // combine_forward adds this to the sum over the chosen experts, which saves a pass over y.
  const Tensor shared = shared_ ? shared_->forward(f, x_TC) : Tensor{};
  if (shared_ && f.wants_values()) f.show("the output of the shared experts of " + name_, shared);
  const Tensor y_TC = f.take(activation_, x_TC.shape);
  combine_forward(f.stream, {y_TC, s.out, gates_inner() ? Tensor{} : s.gate, shared, s.row_of});
  return y_TC;
}

// Shows each expert's rows as a value of its own, so that the search for non-finite values can name the expert.
void Moe::show_experts(Frame& f, const Saved& s) const {
  std::vector<int64_t> offsets(static_cast<size_t>(options_.num_experts) + 1);
  to_host(f.stream, offsets.data(), s.offsets);
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    f.show(concat("the output of expert ", e, " of ", name_), s.out.rows(offsets[e], offsets[e + 1] - offsets[e]));
  }
}

Tensor Moe::forward(Frame& f, Tensor x_TC) {
  Saved& s = f.saved(slot_);
  route(f, s, x_TC);
  return run_experts(f, s, x_TC);
}

void Moe::backward_combine(Frame& f, Saved& s, Tensor dy_TC, Tensor dgate) {
  s.dout = f.take_gradient(activation_, s.out.shape);
  if (gates_inner()) {
    // The gradient of the gates follows from the inner activations, in backward_experts.
    combine_backward(f.stream, {.drows = s.dout, .dgate = {}, .dy = dy_TC, .rows = {}, .gate = {}, .row_of = s.row_of});
  } else {
    combine_backward(f.stream,
                     {.drows = s.dout, .dgate = dgate, .dy = dy_TC, .rows = s.out, .gate = s.gate, .row_of = s.row_of});
  }
}

Tensor Moe::backward_experts(Frame& f, Saved& s, Tensor dy_TC, Tensor dgate) {
  backward_combine(f, s, dy_TC, dgate);
  const Tensor dinner = f.take_gradient(activation_, s.inner.shape);
  down_gemms_->backward_input(f.stream, dinner, s.dout, {down_.value, down_.version}, s.offsets);
  s.dup = f.take_gradient(activation_, s.up.shape);
  const Tensor dgate_rows = gates_inner() ? f.take_statistic_gradient(s.gate_rows.shape) : Tensor{};
  swiglu_backward(
      f.stream,
      {.dx = s.dup, .drow_scale = dgate_rows, .dy = dinner, .x = s.up, .row_scale = s.gate_rows, .clamp = clamp_});
  if (gates_inner()) permute_gate_backward(f.stream, {dgate, dgate_rows, s.row_of});
  const Tensor drows = f.take_gradient(activation_, s.rows.shape);
  up_gemms_->backward_input(f.stream, drows, s.dup, {up_.value, up_.version}, s.offsets);
  const Tensor dx_TC = f.take_gradient(activation_, dy_TC.shape);
  permute_backward(f.stream, {dx_TC, drows, s.row_of});
  return dx_TC;
}

Tensor Moe::backward_router(Frame& f, const Saved& s, Tensor dgate) {
  const Tensor dlogits = f.take_statistic_gradient(s.scores.shape);
  Tensor dscores;
  if (options_.sequence_balance_loss != 0) {
    dscores = f.take_statistic_gradient(s.scores.shape);
    balance_loss_backward(f.stream, {.dscores = dscores,
                                     .scores = s.scores,
                                     .fraction = s.fraction,
                                     .counts = s.counts,
                                     .token_mask = f.batch.own_of(f.batch.token_mask),
                                     .first = f.batch.own.begin,
                                     .length = f.batch.length,
                                     .alpha = options_.sequence_balance_loss,
                                     .weight = f.batch.sequence_weight});
  }
  router_backward(f.stream, {.dlogits = dlogits,
                             .dgate = dgate,
                             .dscores = dscores,
                             .scores = s.scores,
                             .index = s.index,
                             .score = options_.score_function,
                             .renormalize = options_.renormalize,
                             .route_scale = options_.route_scale});
  return router_.backward_input(f, dlogits);
}

Tensor Moe::backward_input(Frame& f, Tensor dy_TC) {
  Saved& s = f.saved(slot_);
  const Tensor dgate = f.take_statistic_gradient(s.gate.shape);
  const Tensor dx = backward_experts(f, s, dy_TC, dgate), drouter = backward_router(f, s, dgate);
  add(f.stream, {dx, dx, drouter});
  if (shared_) add(f.stream, {dx, dx, shared_->backward_input(f, dy_TC)});
  return dx;
}

void Moe::backward_weight(Frame& f) {
  const Saved& s = f.saved(slot_);
  down_gemms_->backward_weight(f.stream, down_.grad, s.dout, s.inner, s.offsets);
  up_gemms_->backward_weight(f.stream, up_.grad, s.dup, s.rows, s.offsets);
  router_.backward_weight(f);
  if (shared_) shared_->backward_weight(f);
}

void Moe::visit(ModuleVisitor& v) {
  router_.visit(v);
  v.parameter(up_);
  v.parameter(down_);
  v.working_copies(up_gemms_->bytes() + down_gemms_->bytes());
  if (shared_) shared_->visit(v);
  v.counter(load_);
  v.counter(balance_);
  v.buffer(bias_);
  v.router(bias_, load_);
}

}  // namespace birkhoff
