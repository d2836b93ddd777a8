#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "trainer/nn/module.h"

namespace birkhoff {

// The smallest part that stages, gradient buckets and recomputation do not divide: the embedding, a block, or the head.
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
  // From dL/d(output) to dL/d(input), unit by unit, each with its weight gradients. The gradient arenas of the frame
  // alternate.
  State backward(Frame& frame, State d, const UnitDone& on_unit_done) const;
  // The same in two halves. The gradient arenas do not alternate, since backward_weight reads the gradients of all
  // units.
  State backward_input(Frame& frame, State d) const;
  void backward_weight(Frame& frame, const UnitDone& on_unit_done) const;

 private:
  std::span<const Unit> units_;
  int first_;
};

}  // namespace birkhoff
