#pragma once
#include <cstddef>
#include <string>

#include "kernels/core/tensor.h"

namespace birkhoff {

// Watches the forwards of a step, or decides in their place. A frame may carry one, and modules tell it what they do.
// What an instrument does not override it passes on to the next, so that several can work at once.
class Instrument {
 public:
  explicit Instrument(Instrument* next = nullptr) : next_(next) {}
  virtual ~Instrument() = default;
  void set_next(Instrument* next) { next_ = next; }

  // The forward of microbatch number m begins. Replays of it are not told.
  virtual void begin(size_t microbatch) {
    if (next_) next_->begin(microbatch);
  }

  // Whether show() is to be called: a name is then made for every value.
  virtual bool shows_values() const { return next_ && next_->shows_values(); }
  // What a module gives, in one order on all ranks: "the output of layers.1.ffn".
  virtual void show(const std::string& what, Tensor value) {
    if (next_) next_->show(what, value);
  }

  // Memory for the mixing matrices [T, S, S] of the next site, in which they outlive the recomputation of the site;
  // absent where the site shall keep them itself.
  virtual Tensor take_mixing(Shape shape) { return next_ ? next_->take_mixing(shape) : Tensor{}; }

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
