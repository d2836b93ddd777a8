#include "trainer/models/block.h"

namespace birkhoff {

Block::Block(Build& build, std::unique_ptr<Engram> engram, std::unique_ptr<ReplayedModule> attention,
             std::unique_ptr<ReplayedModule> ffn)
    : engram_(std::move(engram)), attention_(std::move(attention)), ffn_(std::move(ffn)), entry_(build.slot<State>()) {}

State Block::forward(Frame& f, State in) {
  const State s = engram_ ? engram_->forward(f, in) : in;
  f.saved(entry_) = s;
  return ffn_->forward(f, attention_->forward(f, s));
}

State Block::backward_input(Frame& f, State d) {
  d = attention_->backward_input(f, ffn_->backward_input(f, d));
  return engram_ ? engram_->backward_input(f, d) : d;
}

void Block::backward_weight(Frame& f) {
  ffn_->backward_weight(f);
  attention_->backward_weight(f);
  if (engram_) engram_->backward_weight(f);
}

// Starts at attention: the state after Engram was allocated in `activations`, so it is still there.
State Block::replay(Frame& f, State in) {
  return ffn_->replay(f, attention_->replay(f, engram_ ? f.saved(entry_) : in));
}

// Each of the two sublayers needs its input, its normed input, and the streams that follow it.
size_t Block::transient_bytes(const Tensor& x_TSC) {
  const auto tokens = static_cast<size_t>(x_TSC.shape[0]), channels = static_cast<size_t>(x_TSC.shape[2]);
  const size_t values = 2 * (2 + static_cast<size_t>(x_TSC.shape[1])) * tokens * channels;
  return values * size_of(x_TSC.dtype) + 6 * Arena::kAlignment;  // six tensors, each aligned
}

void Block::visit(ModuleVisitor& v) {
  if (engram_) engram_->visit(v);
  attention_->visit(v);
  ffn_->visit(v);
}

}  // namespace birkhoff
