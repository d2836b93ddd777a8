#include "trainer/models/block.h"

#include "kernels/core/copy.h"

namespace birkhoff {
namespace {

// The transient memory of a block: per sublayer its input, the norm of it, and the streams after it.
size_t transient_bytes(const Tensor& x_TSC) {
  const size_t per_token = 2 * (2 + static_cast<size_t>(x_TSC.shape[1])) * static_cast<size_t>(x_TSC.shape[2]);
  return static_cast<size_t>(x_TSC.shape[0]) * per_token * sizeof(double) + 8 * Arena::kAlignment;
}

}  // namespace

Block::Block(Build& build, std::unique_ptr<Engram> engram, std::unique_ptr<Residual> attention,
             std::unique_ptr<Residual> ffn, Recompute recompute)
    : engram_(std::move(engram)),
      attention_(std::move(attention)),
      ffn_(std::move(ffn)),
      recompute_(recompute),
      slot_(build.slot<Saved>()) {}

State Block::run(Frame& f, State in) {
  State s = engram_ ? engram_->forward(f, in) : in;
  f.saved(slot_).entry = s;
  return ffn_->forward(f, attention_->forward(f, s));
}

// Copies what leaves the block to memory that outlives it.
State Block::keep(Frame& f, State out) {
  State kept{f.take(out.x.dtype, out.x.shape), out.pre.present() ? f.take(out.pre.dtype, out.pre.shape) : Tensor{}};
  copy(f.stream, kept.x, out.x);
  if (out.pre.present()) copy(f.stream, kept.pre, out.pre);
  return kept;
}

State Block::forward(Frame& f, State in) {
  f.saved(slot_).in = in;
  if (recompute_ == Recompute::none) return run(f, in);
  if (recompute_ == Recompute::streams) {
    f.transient.reset();
    f.transient.reserve(transient_bytes(in.x));
    return keep(f, run(f, in));
  }
  // The output is taken first, so that everything above it can be given up.
  State kept{f.take(in.x.dtype, in.x.shape), in.pre.present() ? f.take(in.pre.dtype, in.pre.shape) : Tensor{}};
  const int64_t T = in.x.shape[0], S = in.x.shape[1];
  std::vector<Tensor>& copies = f.saved(slot_).combs;
  copies.clear();
  for (int site = 0; f.keep_combs && S > 1 && site < 2; ++site) copies.push_back(f.take(DType::f32, {T, S, S}));
  const ArenaScope scope(f.activations);
  const State out = run(f, in);
  for (size_t i = 0; i < copies.size(); ++i) copy(f.stream, copies[i], combs(f)[i]);
  copy(f.stream, kept.x, out.x);
  if (out.pre.present()) copy(f.stream, kept.pre, out.pre);
  return kept;
}

State Block::run_backward(Frame& f, State d) {
  d = attention_->backward_input(f, ffn_->backward_input(f, d));
  return engram_ ? engram_->backward_input(f, d) : d;
}

State Block::backward_input(Frame& f, State d) {
  if (recompute_ == Recompute::block) return backward_recomputed(f, d);
  if (recompute_ == Recompute::streams) replay_streams(f);
  return run_backward(f, d);
}

// Runs the weight gradients too: to put them off would keep the recomputed activations alive, which is the memory that
// recomputation exists to save.
State Block::backward_recomputed(Frame& f, State d) {
  const ArenaScope scope(f.activations);
  f.replaying = true;
  run(f, f.saved(slot_).in);
  f.replaying = false;
  const State dx = run_backward(f, d);
  ffn_->backward_weight(f);
  attention_->backward_weight(f);
  if (engram_) engram_->backward_weight(f);
  return dx;
}

void Block::replay_streams(Frame& f) {
  f.transient.reset();
  f.replaying_streams = true;
  ffn_->replay(f, attention_->replay(f, f.saved(slot_).entry));
  f.replaying_streams = false;
}

void Block::backward_weight(Frame& f) {
  if (recompute_ == Recompute::block) return;
  ffn_->backward_weight(f);
  attention_->backward_weight(f);
  if (engram_) engram_->backward_weight(f);
}

void Block::visit(ModuleVisitor& v) {
  if (engram_) engram_->visit(v);
  attention_->visit(v);
  ffn_->visit(v);
}

std::vector<Tensor> Block::combs(Frame& f) {
  std::vector<Tensor> all;
  for (Residual* site : {attention_.get(), ffn_.get()}) {
    if (const Tensor comb = site->comb(f); comb.present()) all.push_back(comb);
  }
  return all;
}

void Block::append_combs(Frame& f, std::vector<Tensor>& all) {
  const std::vector<Tensor> mine = recompute_ == Recompute::block ? f.saved(slot_).combs : combs(f);
  all.insert(all.end(), mine.begin(), mine.end());
}

}  // namespace birkhoff
