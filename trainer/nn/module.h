#pragma once
#include "trainer/nn/frame.h"
#include "trainer/nn/parameter.h"

namespace birkhoff {

// A map with an explicit backward in two halves, which a pipeline program may run at different times. A Module maps
// [T, in] to [T, out].
//
// Contract:
// - forward keeps in the frame what backward needs.
// - backward_input returns dL/dx and keeps in the frame what backward_weight needs. It also adds the gradients of
//   gains, norm biases, mixing coefficients, gates, convolutions, embeddings and Engram rows.
// - backward_weight adds the gradients of linear maps, their biases, and experts to Parameter::grad. It runs after
//   backward_input and before the frame alternates its gradient arenas, unless a program runs it later (action W); the
//   arenas do not alternate then.
// - No module writes into the dy that it receives, because a Linear may still read it in backward_weight.
template <class Value>
class ModuleOf {
 public:
  virtual ~ModuleOf() = default;
  virtual Value forward(Frame& frame, Value x) = 0;
  virtual Value backward_input(Frame& frame, Value dy) = 0;
  virtual void backward_weight(Frame&) {}
  virtual void visit(ModuleVisitor&) {}
};
using Module = ModuleOf<Tensor>;

// What flows between blocks. Its gradient is a State too, member by member.
struct State {
  Tensor x;    // streams [T, S, C]; one stream is [T, 1, C]
  Tensor pre;  // single-pass mHC only: the pre [T, S], f32, that the previous site predicted for the next one
};

// A map from State to State: units of a model (input, block, head), and the sublayers of a block in their residuals.
using StateModule = ModuleOf<State>;

}  // namespace birkhoff
