#pragma once
#include <cstddef>
#include <string>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Observes the forwards of a step, or overrides their choices of experts. Modules call the instrument of their frame,
// if it has one. The default of every function calls the next instrument, so that several can be chained.
class Instrument {
 public:
  explicit Instrument(Instrument* next = nullptr) : next_(next) {}
  virtual ~Instrument() = default;
  void set_next(Instrument* next) { next_ = next; }

  // The calls that follow belong to this microbatch: to its forward, or to its backward with the recomputation in it.
  virtual void enter(size_t microbatch) {
    if (next_) next_->enter(microbatch);
  }
  // The forward of the microbatch's blocks is done. The head and the MTP predictors, with their blocks, follow.
  // `token_mask` u8 [T] is 0 for padding; absent if every own token counts.
  virtual void end_blocks(Stream& stream, Tensor token_mask) {
    if (next_) next_->end_blocks(stream, token_mask);
  }

  // Whether modules must call show(). If not, they do not build the names of values either.
  virtual bool wants_values() const { return next_ && next_->wants_values(); }
  // A value that a module computed, with its name, such as "the output of layers.1.ffn". The order of the calls is the
  // same on all ranks.
  virtual void show(const std::string& what, Tensor value) {
    if (next_) next_->show(what, value);
  }

  // Whether the mixing matrices must stay valid after the forward of a recomputed block. They are then in
  // Frame::observed.
  virtual bool wants_mixing() const { return next_ && next_->wants_mixing(); }
  // Called before a site computes its mixing matrices comb [T, S, S] into this tensor, which stays valid until the
  // frame is given back.
  virtual void will_mix(Tensor comb) {
    if (next_) next_->will_mix(comb);
  }

  // The choices of a router, i32 [T, K] each: the experts, and the experts with the K largest scores (before bias and
  // groups), which the balance loss counts. The latter is absent if there is no balance loss. What they follow from:
  // the scores [T, E] and the bias [E]; both are absent in choices that a layer must make.
  struct Routing {
    Tensor experts = {}, balance = {}, scores = {}, bias = {};
  };
  // The choices that the layer must make; absent tensors let it choose itself. Also called when a block is recomputed.
  virtual Routing replay_routing(const std::string& layer) { return next_ ? next_->replay_routing(layer) : Routing{}; }
  // Called once per microbatch and layer, also in an evaluation, if records_routing().
  virtual bool records_routing() const { return next_ && next_->records_routing(); }
  virtual void record_routing(const std::string& layer, const Routing& routing) {
    if (next_) next_->record_routing(layer, routing);
  }

 private:
  Instrument* next_;
};

}  // namespace birkhoff
