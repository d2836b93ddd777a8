#pragma once
// Finds where a non-finite value of a step originated. Runs only after such a step, so it may be slow. It checks the
// values of parameters, then repeats the forward and checks every value that a module computes, then the gradients.
#include <functional>
#include <string>
#include <vector>

#include "trainer/step/model.h"
#include "trainer/step/runner.h"

namespace birkhoff {

// The step to repeat. Its gradients and counters are overwritten.
struct NonfiniteArgs {
  Stream stream;
  Communicator* world;
  Model* model;
  Runner* runner;
  const std::vector<Tensor>* row_gradients;  // one entry per Engram table
  size_t num_microbatches;
  std::function<BatchView(Arena& memory, size_t microbatch)> batch;
};

// Collective. Describes the first non-finite tensor and names the rank that has it: "the value of
// layers.1.ffn.experts.up, expert 3 on rank 1 (dp 1)". Empty if no rank found anything.
std::string find_nonfinite(const NonfiniteArgs& args);

}  // namespace birkhoff
