#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "trainer/nn/module.h"

namespace birkhoff {

// The smallest part that recomputation, gradient buckets and stages treat as one: the embedding, a block, the head.
struct Unit {
  std::string name;
  std::unique_ptr<StateModule> module;
};

// Consecutive units of a decoder. One rank runs them on a microbatch at a time, in the halves that a program names
// (parallel/pipeline/program.h). A view: the decoder owns the units.
class Stage {
 public:
  // `first` is the number of the first of the units in the decoder.
  Stage(std::span<const Unit> units, int first) : units_(units), first_(first) {}

  State forward(Frame& frame, State in) const;

  // Called with the number of a unit once its gradients of the microbatch are complete.
  using UnitDone = std::function<void(int unit)>;
  // From dL/d(output) to dL/d(input), with the gradients of the weights, unit by unit.
  State backward(Frame& frame, State d, const UnitDone& on_unit_done) const;
  // The same in two halves. Between them the frame keeps all gradients, which the second needs.
  State backward_input(Frame& frame, State d) const;
  void backward_weight(Frame& frame, const UnitDone& on_unit_done) const;

 private:
  std::span<const Unit> units_;
  int first_;
};

}  // namespace birkhoff
