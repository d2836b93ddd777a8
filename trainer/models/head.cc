#include "trainer/models/head.h"

#include "kernels/elementwise/add.h"
#include "kernels/loss/head_loss.h"

namespace birkhoff {

Head::Head(Build& build, const DecoderOptions& o, Embedding& embedding,
           std::vector<std::unique_ptr<StateModule>> predictor_blocks)
    : tied_(o.tie_embeddings),
      z_loss_(o.z_loss),
      activation_(build.precision.activation()),
      exchange_(build),
      embedding_(&embedding),
      collapse_(build, "head.collapse", o.hidden_size, o.residual),
      norm_(build.set_part(Part::head), "head.norm", o.hidden_size),
      dy_(build.slot<State>()) {
  const int heads = 1 + static_cast<int>(predictor_blocks.size());
  if (!o.tie_embeddings) {
    weight_ = build.parameter("head.weight", {o.vocab_size, o.hidden_size}, Role::head, Init::normal(build.init.std));
    weight_.division.cuts = {{0, Axis::tp}};
    weight_.num_uses = heads;
  }
  const Shape held = build.held_shape(weight());
  if (held.count() > 0) gemms_ = build.precision.linear(held[0], held[1], GemmRole::head);
  build.predictor = true;
  for (auto& block : predictor_blocks) {
    const std::string name = "mtp." + std::to_string(mtp_.size());
    mtp_.push_back(std::make_unique<Mtp>(build, name, o.hidden_size, o.residual, std::move(block)));
  }
  build.predictor = false;
  loss_ = {"loss", {heads}, StepCounter::Kind::loss};
}

int Head::use(size_t depth) const { return static_cast<int>(depth + (tied_ ? 1 + mtp_.size() : 0)); }

State Head::predict(Frame& f, State y, size_t depth) {
  Collapse& collapse = depth > 0 ? mtp_[depth - 1]->collapse() : collapse_;
  Norm& norm = depth > 0 ? mtp_[depth - 1]->norm() : norm_;
  const Tensor own_x = norm.forward(f, collapse.forward(f, y));
  const std::string of_depth = depth > 0 ? concat(" of depth ", depth) : "";
  if (f.wants_values()) f.show("the input of the head" + of_depth, own_x);
  const bool training = f.mode == Frame::Mode::training;
  const DividedLayer divided(f);
  const Tensor x_TC = exchange_.gather(f, own_x);
  const Tensor dx = training ? f.take_gradient(exchange_.partial(), x_TC.shape) : Tensor{};
  const VocabularyPart part = part_of_rank(f);
  const Tensor loss = loss_.value.flat(static_cast<int64_t>(depth), 1);
  head_loss(f.stream, f.gradient_arena(), *gemms_,
            {.loss = loss,
             .nll = depth == 0 ? f.batch.nll : Tensor{},
             .dx = dx,
             .dhead = training ? weight().grad_of(use(depth)) : Tensor{},
             .x = x_TC,
             .targets = f.batch.targets.at(depth),
             .weight = f.batch.loss_weights.at(depth),
             .head = {weight().value, weight().version},
             .z_loss = training ? z_loss_ : 0,  // an evaluation reports the plain cross-entropy
             .part = exchange_.size() > 1 ? &part : nullptr});
  if (f.wants_values()) f.show("the loss" + of_depth, loss);
  if (!training) return {};
  return collapse.backward_input(f, norm.backward_input(f, exchange_.sum_gradient(f, dx)));
}

VocabularyPart Head::part_of_rank(const Frame& f) {
  return {.first = weight().first_row(),
          .vocabulary = weight().shape[0],
          .num_parts = exchange_.size(),
          .counted_begin = f.batch.own.begin,
          .counted = f.batch.own.count,
          .gather = [this](Stream& stream, Tensor all, Tensor own) { exchange_.gather_to(stream, all, own); }};
}

// Depth d predicts from the streams of depth d - 1, so the backward runs from the deepest predictor to the shallowest
// and adds each gradient to that of the depth before.
State Head::predict_mtp(Frame& f, State y, State dy) {
  const size_t depth = mtp_.size();
  std::vector<State> outs{y}, grads(depth + 1);
  for (size_t d = 0; d < depth; ++d) {
    const Tensor embedded = embedding_->forward(f, f.batch.next_tokens.at(d), {});
    outs.push_back(mtp_[d]->forward(f, outs.back(), embedded));
  }
  grads[0] = dy;
  for (size_t d = 1; d <= depth; ++d) grads[d] = predict(f, outs[d], d);
  for (size_t d = depth; d >= 1; --d) {
    const Mtp::Gradients g = mtp_[d - 1]->backward(f, grads[d]);
    embedding_->backward(f, g.embedded, f.batch.next_tokens.at(d - 1), static_cast<int>(d));
    add(f.stream, {grads[d - 1].x, grads[d - 1].x, g.main.x});
    if (g.main.pre.present()) add(f.stream, {grads[d - 1].pre, grads[d - 1].pre, g.main.pre});
  }
  return grads[0];
}

State Head::forward(Frame& f, State y) {
  // The state `y` is complete, so all blocks of the microbatch have run, in whatever stages they are.
  if (f.counts() && f.instrument != nullptr) f.instrument->end_blocks(f.stream, f.batch.own_of(f.batch.token_mask));
  State dy = predict(f, y, 0);
  if (f.mode == Frame::Mode::training && !mtp_.empty()) dy = predict_mtp(f, y, dy);
  f.saved(dy_) = dy;
  return {};
}

State Head::backward_input(Frame& f, State) { return f.saved(dy_); }

void Head::visit(ModuleVisitor& v) {
  collapse_.visit(v);
  norm_.visit(v);
  if (!tied_) v.parameter(weight_);
  if (gemms_) v.working_copies(gemms_->bytes());
  for (auto& mtp : mtp_) mtp->visit(v);
  v.counter(loss_);
}

}  // namespace birkhoff
