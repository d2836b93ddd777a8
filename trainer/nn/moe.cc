#include "trainer/nn/moe.h"

#include <utility>

#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/copy.h"
#include "kernels/moe/balance_loss.h"

namespace birkhoff {

Moe::Moe(Build& build, const std::string& name, int64_t channels, const MoeOptions& o, double clamp)
    : name_(name),
      options_(o),
      activation_(build.precision.activation()),
      exchange_(build),
      router_(build.set_part(Part::routers), name + ".gate", o.num_experts, channels,
              Linear::Options{.role = GemmRole::exact, .output_f32 = true}),
      experts_(build.set_part(Part::routed_experts), name, channels, o, clamp),
      dispatch_(make_expert_dispatch(build, channels, o)),
      slot_(build.slot<Saved>()) {
  if (o.num_shared > 0) {
    const FfnOptions shared{.size = o.num_shared * o.expert_size, .clamp = clamp};
    shared_.emplace(build.set_part(Part::shared_experts), name + ".shared", channels, shared);
  }
  bias_ = {name + ".gate.bias", {o.num_experts}, build.predictor};
  load_ = {name + ".load", {o.num_experts}, StepCounter::Kind::load};
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

ExpertDispatch::Tokens Moe::tokens(Frame& f, const Saved& s, Tensor x_TC) const {
  return {x_TC, s.index, s.gate, f.batch.own_of(f.batch.token_mask)};
}

Tensor Moe::run_experts(Frame& f, const Saved& s, Tensor x_TC, Tensor base) {
  if (!dispatch_) {
    const Tensor y_TC = f.take(activation_, x_TC.shape);
    experts_.forward(f, y_TC, {.x = x_TC, .index = s.index, .gate = s.gate, .pairs = s.index.count()}, base);
    return y_TC;
  }
  const ArenaScope scope(f.gradient_arena());
  const Experts::Input input = dispatch_->send(f, tokens(f, s, x_TC));
  const Tensor y = f.take_gradient(dispatch_->partial(), input.x.shape);
  experts_.forward(f, y, input, {});
  return dispatch_->return_outputs(f, y, tokens(f, s, x_TC), base);
}

Tensor Moe::forward(Frame& f, Tensor x_TC) {
  Saved& s = f.saved(slot_);
  // The router runs while the shared experts gather their input.
  std::optional<TokenExchange::Started> gathered;
  if (shared_) gathered = shared_->start(f, x_TC);
  route(f, s, x_TC);
  const Tensor shared = shared_ ? shared_->forward(f, std::move(*gathered)) : Tensor{};
  if (shared_ && f.wants_values()) f.show("the output of the shared experts of " + name_, shared);
  return run_experts(f, s, x_TC, shared);
}

Tensor Moe::backward_experts(Frame& f, const Saved& s, Tensor dy_TC, Tensor dgate) {
  if (!dispatch_) {
    const Tensor dx_TC = f.take_gradient(activation_, dy_TC.shape);
    experts_.backward_input(f, dx_TC, dgate, dy_TC);
    return dx_TC;
  }
  const Tensor dy = dispatch_->send_gradients(f, dy_TC, tokens(f, s, {}), dgate);
  const Tensor dx = f.take_gradient(dispatch_->partial(), dy.shape);
  const Tensor dgate_of_input = experts_.take_gate_gradient(f);
  experts_.backward_input(f, dx, dgate_of_input, dy);
  return dispatch_->return_gradients(f, dx, dgate_of_input, dgate);
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
  const Saved& s = f.saved(slot_);
  // The routed experts run while the ranks sum the gradient of the shared experts' input.
  std::optional<TokenExchange::Started> of_shared;
  if (shared_) of_shared = shared_->start_backward_input(f, dy_TC);
  const Tensor dgate = f.take_statistic_gradient(s.gate.shape);
  const Tensor dx = backward_experts(f, s, dy_TC, dgate), drouter = backward_router(f, s, dgate);
  add(f.stream, {dx, dx, drouter});
  if (of_shared) add(f.stream, {dx, dx, of_shared->wait(f)});
  return dx;
}

void Moe::backward_weight(Frame& f) {
  experts_.backward_weight(f);
  router_.backward_weight(f);
  if (shared_) shared_->backward_weight(f);
}

void Moe::visit(ModuleVisitor& v) {
  router_.visit(v);
  experts_.visit(v);
  if (shared_) shared_->visit(v);
  v.counter(load_);
  v.counter(balance_);
  v.buffer(bias_);
  v.router(bias_, load_);
}

}  // namespace birkhoff
