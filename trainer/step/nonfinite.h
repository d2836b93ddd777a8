#pragma once
// Where a step that is not finite went wrong. Looked for after such a step only, so it may be slow: values first, then
// a forward whose modules are looked at one by one, then a backward.
#include <functional>
#include <string>
#include <vector>

#include "trainer/step/model.h"
#include "trainer/step/runner.h"

namespace birkhoff {

// A step to go over again. Its gradients and counters are overwritten.
struct NonfiniteArgs {
  Stream stream;
  Communicator* world;
  Model* model;
  Runner* runner;
  const std::vector<Tensor>* row_gradients;  // an entry per table
  size_t num_microbatches;
  std::function<BatchView(Arena& memory, size_t microbatch)> batch;
};

// Collective. The first that is not finite, and whose it is: "the value of layers.1.ffn.experts.up, expert 3, on rank
// 1"; empty if no rank found anything.
std::string find_nonfinite(const NonfiniteArgs& args);

}  // namespace birkhoff
