#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "trainer/nn/module.h"

namespace birkhoff {

// The embedding, a block, or the head. Stages, gradient buckets and recomputation never divide a unit.
struct Unit {
  std::string name;
  std::unique_ptr<StateModule> module;
};

// A view of consecutive units of a decoder, which owns them. One rank runs them, one microbatch at a time, as the
// actions of a program say (parallel/pipeline/program.h).
class Stage {
 public:
  // `first` is the number of the first unit in the decoder.
  Stage(std::span<const Unit> units, int first) : units_(units), first_(first) {}

  State forward(Frame& frame, State in) const;

  // Called with the number of a unit in the decoder once its weight gradients for this microbatch are complete.
  using UnitDone = std::function<void(int unit)>;
  // Computes dL/d(input) from `d`, which is dL/d(output). For each unit it computes the input gradient and then the
  // weight gradients. The gradient arenas of the frame alternate from unit to unit.
  State backward(Frame& frame, State d, const UnitDone& on_unit_done) const;
  // The two halves of backward(). The gradient arenas do not alternate, since backward_weight() reads the gradients of
  // all units.
  State backward_input(Frame& frame, State d) const;
  void backward_weight(Frame& frame, const UnitDone& on_unit_done) const;

 private:
  std::span<const Unit> units_;
  int first_;
};

}  // namespace birkhoff
