#include "trainer/models/decoder.h"

#include <algorithm>

#include "kernels/elementwise/add.h"
#include "kernels/elementwise/copy.h"
#include "kernels/hyper/streams.h"
#include "kernels/loss/head_loss.h"

namespace birkhoff {

Decoder::Decoder(Build& build, const DecoderOptions& o)
    : options_(o),
      activation_(build.precision.activation()),
      embedding_(build.in(Part::embedding), "embedding", o.vocab_size, o.channels, o.learned_positions),
      collapse_(build, "head.collapse", o.channels, o.residual),
      norm_(build.in(Part::head), "head.norm", o.channels),
      head_gemms_(build.precision.linear(o.vocab_size, o.channels, GemmRole::head)) {
  make_blocks(build);
  const int heads = 1 + static_cast<int>(o.mtp_depth);
  embedding_.table().num_uses = heads + (o.tie_embeddings ? heads : 0);
  if (!o.tie_embeddings) {
    head_ = build.in(Part::head)
                .parameter("head.weight", {o.vocab_size, o.channels}, Role::head, Init::normal(build.init.std));
    head_.division.cuts = {{0, Axis::tp}};
    head_.num_uses = heads;
  }
  loss_ = {"loss", {1 + o.mtp_depth}, StepCounter::Kind::loss};
}

void Decoder::make_blocks(Build& build) {
  const DecoderOptions& o = options_;
  const int64_t size =
      o.recompute_layers > 0 ? o.recompute_layers : best_stream_group(o.num_layers, o.residual.streams);
  std::optional<StreamGroup> group;
  auto wrapped = [&](std::unique_ptr<Block> block) -> std::unique_ptr<StateModule> {
    if (o.recompute == Recompute::block) return recompute(build, std::move(block));
    if (o.recompute == Recompute::none) return block;
    if (!group || group->size() == size) group.emplace(build, Block::transient_bytes);
    return group->add(std::move(block));
  };
  for (int64_t layer = 0; layer < o.num_layers; ++layer) {
    blocks_.push_back(wrapped(make_block(build, "layers." + std::to_string(layer), layer)));
  }
  build.predictor = true;
  for (int64_t d = 0; d < o.mtp_depth; ++d) {
    const std::string name = "mtp." + std::to_string(d);
    group.reset();  // between two predictors lies another head
    mtp_.push_back(
        std::make_unique<Mtp>(build, name, o.channels, o.residual, wrapped(make_block(build, name, o.num_layers))));
  }
  build.predictor = false;
}

int Decoder::head_use(int depth) const {
  return depth + (options_.tie_embeddings ? 1 + static_cast<int>(options_.mtp_depth) : 0);
}

std::unique_ptr<Block> Decoder::make_block(Build& build, const std::string& name, int64_t layer) {
  const DecoderOptions& o = options_;
  std::unique_ptr<Engram> engram;
  const auto place = std::find(o.engram_layers.begin(), o.engram_layers.end(), layer);
  if (place != o.engram_layers.end()) {
    EngramOptions options = o.engram;
    options.layer = place - o.engram_layers.begin();
    options.streams = o.residual.streams;
    engram = std::make_unique<Engram>(build.in(Part::engram), name + ".engram", o.channels, options);
  }
  ResidualOptions residual = o.residual;
  residual.recompute_streams = o.recompute == Recompute::streams;
  auto attention =
      make_residual(build, name + ".attention", o.channels, sites_++, residual,
                    make_attention(build.in(Part::attention), name + ".attention", o.channels, o.attention));
  const bool dense = o.moe.num_experts == 0 || layer < o.first_dense_layers;
  std::unique_ptr<Module> inner;
  if (dense) {
    inner = std::make_unique<Ffn>(build.in(Part::dense_feed_forward), name + ".ffn", o.channels, o.ffn_hidden, o.ffn);
  } else {
    inner = std::make_unique<Moe>(build, name + ".ffn", o.channels, o.moe);
  }
  auto ffn = make_residual(build, name + ".ffn", o.channels, sites_++, residual, std::move(inner));
  return std::make_unique<Block>(build, std::move(engram), std::move(attention), std::move(ffn));
}

State Decoder::first_state(Frame& f, Tensor embedded) {
  const int64_t T = embedded.shape[0], C = embedded.shape[1], S = options_.residual.streams;
  if (S == 1) return {embedded.view({T, 1, C}), {}};
  State s{f.take(activation_, {T, S, C}), {}};
  hyper_expand(f.stream, {s.x, embedded});
  return s;
}

State Decoder::forward(Frame& f) {
  const Tensor positions = options_.learned_positions ? f.batch.positions : Tensor{};
  const Tensor embedded = embedding_.forward(f, f.batch.tokens, positions);
  if (f.shows_values()) f.show("the output of embedding", embedded);
  State s = first_state(f, embedded);
  if (options_.residual.kind == ResidualKind::mhc_single_pass) {
    const int64_t T = f.batch.num_tokens(), S = options_.residual.streams;
    s.pre = f.take_statistic({T, S});
    first_stream_weights(f.stream, s.pre);
  }
  for (auto& block : blocks_) s = block->forward(f, s);
  return s;
}

State Decoder::head(Frame& f, State y, int depth, Pass pass, Tensor nll) {
  const bool further = depth > 0;
  Collapse& collapse = further ? mtp_[static_cast<size_t>(depth - 1)]->collapse() : collapse_;
  Norm& norm = further ? mtp_[static_cast<size_t>(depth - 1)]->norm() : norm_;
  Parameter& weight = options_.tie_embeddings ? embedding_.table() : head_;
  const Tensor x_TC = norm.forward(f, collapse.forward(f, y));
  const std::string of_depth = further ? concat(" of depth ", depth) : "";
  if (f.shows_values()) f.show("the input of the head" + of_depth, x_TC);
  const bool training = pass == Pass::training;
  const Tensor dx = training ? f.take_gradient(activation_, x_TC.shape) : Tensor{};
  const size_t d = static_cast<size_t>(depth);
  head_loss(f.stream, f.gradient_arena(), *head_gemms_,
            {.loss = loss_.value.flat(depth, 1),
             .nll = nll,
             .dx = dx,
             .dhead = training ? weight.grad_of(head_use(depth)) : Tensor{},
             .x = x_TC,
             .targets = f.batch.targets.at(d),
             .weight = f.batch.loss_weights.at(d),
             .head = {weight.value, weight.version},
             .z_loss = training ? options_.z_loss : 0});
  if (f.shows_values()) f.show("the loss" + of_depth, loss_.value.flat(depth, 1));
  if (!training) return {};
  return collapse.backward_input(f, norm.backward_input(f, dx));
}

// Depth d predicts from the streams of depth d - 1, so its gradient flows back through all shallower ones.
State Decoder::predict_further(Frame& f, State y, State dy, Pass pass) {
  const size_t depth = mtp_.size();
  std::vector<State> outs{y}, grads(depth + 1);
  for (size_t d = 0; d < depth; ++d) {
    const Tensor embedded = embedding_.forward(f, f.batch.next_tokens.at(d), {});
    outs.push_back(mtp_[d]->forward(f, outs.back(), embedded));
  }
  grads[0] = dy;
  for (size_t d = 1; d <= depth; ++d) grads[d] = head(f, outs[d], static_cast<int>(d), pass, {});
  for (size_t d = depth; d >= 1; --d) {
    const Mtp::Gradients g = mtp_[d - 1]->backward(f, grads[d]);
    embedding_.backward(f, g.embedded, f.batch.next_tokens.at(d - 1), static_cast<int>(d));
    add(f.stream, {grads[d - 1].x, grads[d - 1].x, g.main.x});
    if (g.main.pre.present()) add(f.stream, {grads[d - 1].pre, grads[d - 1].pre, g.main.pre});
  }
  return grads[0];
}

State Decoder::loss(Frame& f, State y, Pass pass, Tensor nll) {
  const State dy = head(f, y, 0, pass, nll);
  if (pass == Pass::evaluation || mtp_.empty()) return dy;
  return predict_further(f, y, dy, pass);
}

void Decoder::backward(Frame& f, State d, const UnitDone& on_unit_done) {
  auto done = [&](size_t unit) {
    if (on_unit_done) on_unit_done(static_cast<int>(unit));
  };
  done(blocks_.size() + 1);
  for (size_t b = blocks_.size(); b-- > 0;) {
    f.alternate_gradients();
    d = blocks_[b]->backward_input(f, d);
    blocks_[b]->backward_weight(f);
    done(b + 1);
  }
  f.alternate_gradients();
  const int64_t T = d.x.shape[0], C = d.x.shape[2];
  Tensor dx = d.x.view({T, d.x.shape[1] * C});
  if (options_.residual.streams > 1) {
    dx = f.take_gradient(activation_, {T, C});
    hyper_collapse(f.stream, {dx, d.x});
  }
  dx = dx.view({T, C});
  embedding_.backward(f, dx, f.batch.tokens, 0);
  if (options_.learned_positions) embedding_.backward_positions(f, dx, f.batch.positions);
  done(0);
}

void Decoder::visit(ModuleVisitor& v) {
  v.begin_unit("embedding");
  embedding_.visit(v);
  for (size_t b = 0; b < blocks_.size(); ++b) {
    v.begin_unit("layers." + std::to_string(b));
    blocks_[b]->visit(v);
  }
  v.begin_unit("head");
  collapse_.visit(v);
  norm_.visit(v);
  if (!options_.tie_embeddings) v.parameter(head_);
  v.working_copies(head_gemms_->bytes());
  for (auto& mtp : mtp_) mtp->visit(v);
  v.counter(loss_);
}

}  // namespace birkhoff
