#pragma once
#include "trainer/nn/frame.h"
#include "trainer/nn/parameter.h"

namespace birkhoff {

// A map with an explicit backward in two halves, so that a schedule may separate them. A Module maps [T, in] to
// [T, out].
//
// Contract: forward keeps in the frame what backward needs. backward_input returns dL/dx and keeps what backward_weight
// needs; backward_weight adds dL/dw into Parameter::grad and runs after backward_input, before the frame alternates its
// gradients. backward_input also adds the gradients of gains, norm biases, mixing, gates, convolutions, embeddings and
// Engram rows. backward_weight adds those of linear maps with their biases and of experts; a program may run it later,
// and the frame then keeps the x and dy that it reads. Nobody writes into the dy it was given: a Linear may still need
// it.
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

// What flows between blocks, and, member by member, its gradient.
struct State {
  Tensor x;    // streams [T, S, C]; one stream is [T, 1, C]
  Tensor pre;  // single-pass mHC only: read weights [T, S] f32 predicted by the previous sublayer
};

// A map from State to State: blocks and what they are made of.
using StateModule = ModuleOf<State>;

}  // namespace birkhoff
