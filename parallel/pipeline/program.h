#pragma once
// What a rank does in a step, as data: a list of actions in order. A schedule is a function that makes a program. One
// runner (trainer/step/runner.h) executes every program.
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff {

// An action on one microbatch in one chunk. A chunk is a stage of the model that this rank holds.
struct Action {
  enum class Kind : uint8_t {
    forward,          // F; in the last chunk it includes the loss and the backward of the head
    backward,         // B: I and W together, unit by unit
    backward_input,   // I: the gradient of the chunk's input
    backward_weight,  // W: the weight gradients that backward_input did not compute
  };
  Kind kind = Kind::forward;
  int chunk = 0, microbatch = 0;
};
// "F0.3": the forward of microbatch 3 in chunk 0.
std::string to_text(const Action& action);

struct Program {
  int num_chunks = 1, num_microbatches = 0;
  std::vector<Action> actions;
};

// For a rank that holds the whole model: each microbatch runs F through all chunks and then B through all chunks before
// the next one begins, so each chunk needs only one frame.
Program sequential_program(int num_chunks, int num_microbatches);
// Runs only F: one microbatch after the other, each through all chunks.
Program forward_program(int num_chunks, int num_microbatches);

// BugError unless the actions can be executed on one rank that holds all chunks. That requires:
//   - In each chunk every microbatch has one F. Either all have one I and one W (B counts as both), or none has any.
//   - F, I and W each ascend by microbatch, so that the order of sums over microbatches is fixed.
//   - F comes after F of the previous chunk, I after F and after I of the next chunk, W after I.
void check_program(const Program& program);

}  // namespace birkhoff
