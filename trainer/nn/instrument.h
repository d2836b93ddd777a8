#pragma once
#include <cstddef>
#include <string>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Watches the forwards of a step, or decides in their place. A frame may carry one, and modules tell it what they do.
// What an instrument does not override it passes on to the next, so that several can work at once.
class Instrument {
 public:
  explicit Instrument(Instrument* next = nullptr) : next_(next) {}
  virtual ~Instrument() = default;
  void set_next(Instrument* next) { next_ = next; }

  // What follows is of microbatch number m: a forward, or a backward with what it recomputes.
  virtual void enter(size_t microbatch) {
    if (next_) next_->enter(microbatch);
  }
  // The blocks of the microbatch have run forward; the head, and predictors with their blocks, follow.
  virtual void end_blocks(Stream& stream) {
    if (next_) next_->end_blocks(stream);
  }

  // Whether show() is to be called: a name is then made for every value.
  virtual bool shows_values() const { return next_ && next_->shows_values(); }
  // What a module gives, in one order on all ranks: "the output of layers.1.ffn".
  virtual void show(const std::string& what, Tensor value) {
    if (next_) next_->show(what, value);
  }

  // Whether the mixing matrices are to outlive the recomputation of their site (Frame::observed).
  virtual bool keeps_mixing() const { return next_ && next_->keeps_mixing(); }
  // The next site will write its mixing matrices [T, S, S] here. They stay until the frame is given back.
  virtual void will_mix(Tensor comb) {
    if (next_) next_->will_mix(comb);
  }

  // How the router of a layer has chosen, i32 [T, K] each: the experts, and the largest plain scores, which its balance
  // loss counts (absent without one).
  struct Routing {
    Tensor experts, balance;
  };
  // What the layer must choose; absent tensors where it chooses itself. Asked in replays too.
  virtual Routing replay_routing(const std::string& layer) { return next_ ? next_->replay_routing(layer) : Routing{}; }
  // Told once for a microbatch and layer. records_routing() decides whether the choice of the balance loss is kept.
  virtual bool records_routing() const { return next_ && next_->records_routing(); }
  virtual void record_routing(const std::string& layer, const Routing& routing) {
    if (next_) next_->record_routing(layer, routing);
  }

 private:
  Instrument* next_;
};

}  // namespace birkhoff
