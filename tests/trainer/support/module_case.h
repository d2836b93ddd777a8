#pragma once
#include "kernels/core/arena.h"
#include "kernels/elementwise/copy.h"
#include "tests/support/op_case.h"
#include "trainer/nn/module.h"

namespace birkhoff::test {

// Runs a module as an OpCase with input x and output y. The tensors of the case with the names of the module's
// parameters become its parameters; buffers and counters start at zero. The recipe follows from the dtype of x.
inline Build build_for(const Stream& stream, const Tensors& t) {
  Build build{stream.device};
  if (t["x"].dtype == DType::bf16) build.precision = Precision(Recipe::bf16);
  return build;
}

struct BindToCase final : ModuleVisitor {
  BindToCase(Stream& on, Arena& memory, const Tensors& from) : stream(on), arena(memory), tensors(from) {}
  void parameter(Parameter& p) override {
    p.value = tensors[p.name];
    p.grad = tensors["d_" + p.name];
    ++p.version;
  }
  void buffer(PersistentBuffer& b) override { b.value = zeros(b.shape); }
  void counter(StepCounter& c) override { c.value = zeros(c.shape); }
  Tensor zeros(Shape shape) {
    const Tensor tensor = arena.take(DType::f32, shape);
    fill_zero(stream, tensor);
    return tensor;
  }
  Stream& stream;
  Arena& arena;
  const Tensors& tensors;
};

enum class Pass : uint8_t { forward, forward_and_backward };

inline void run_module(Stream& stream, const Tensors& t, const Build& build, Module& module, Pass pass) {
  Arena memory{stream.device};
  BindToCase bind(stream, memory, t);
  module.visit(bind);
  Frame frame(stream, build.num_slots);
  frame.batch.sequences = 1;
  frame.batch.length = t["x"].shape[0];
  copy(stream, t["y"], module.forward(frame, t["x"]));
  if (pass == Pass::forward) return;
  copy(stream, t["d_x"], module.backward_input(frame, t["d_y"]));
  module.backward_weight(frame);
}

}  // namespace birkhoff::test
