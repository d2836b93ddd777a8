#pragma once
#include "trainer/nn/frame.h"
#include "trainer/nn/parameter.h"

namespace birkhoff {

// A map from [T, in] to [T, out] with an explicit backward in two halves, so that a schedule may separate them.
//
// Contract: forward keeps in the frame what backward needs. backward_input returns dL/dx and keeps what backward_weight
// needs; backward_weight adds dL/dw into Parameter::grad and runs after backward_input, before the frame alternates its
// gradients (unless the schedule keeps them). Nobody writes into the dy it was given: a Linear may still need it.
class Module {
 public:
  virtual ~Module() = default;
  virtual Tensor forward(Frame& frame, Tensor x) = 0;
  virtual Tensor backward_input(Frame& frame, Tensor dy) = 0;
  virtual void backward_weight(Frame&) {}
  virtual void visit(ModuleVisitor&) {}
};

// What flows between blocks, and, member by member, its gradient.
struct State {
  Tensor x;    // streams [T, S, C]; one stream is [T, 1, C]
  Tensor pre;  // single-pass mHC only: read weights [T, S] f32 predicted by the previous sublayer
};

// A map from State to State: blocks and what they are made of. Same contract as Module.
class StateModule {
 public:
  virtual ~StateModule() = default;
  virtual State forward(Frame& frame, State x) = 0;
  virtual State backward_input(Frame& frame, State dy) = 0;
  virtual void backward_weight(Frame&) {}
  virtual void visit(ModuleVisitor&) {}
};

}  // namespace birkhoff
