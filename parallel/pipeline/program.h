#pragma once
// What a rank does in a step, as data: its actions in order. A schedule is a function that makes a program; one runner
// (trainer/step/runner.h) carries out every program.
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff {

// One action on a microbatch in a chunk, which is a stage of the model that lies on this rank.
struct Action {
  enum class Kind : uint8_t {
    forward,          // F; that of the last chunk contains the loss with the backward of the head
    backward,         // B: I and W together, unit by unit
    backward_input,   // I: the gradient of the chunk's input
    backward_weight,  // W: the gradients of the weights that I did not compute
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

// A rank that holds the whole model: F and B of one microbatch after the other through all chunks, so that a chunk
// needs one frame.
Program sequential_program(int num_chunks, int num_microbatches);
// The forwards alone, of one microbatch after the other through all chunks.
Program forward_program(int num_chunks, int num_microbatches);

// BugError unless the actions can be carried out on one rank that holds all chunks: in each chunk every microbatch has
// one F, and all have one I and one W or none has; F, I and W each ascend by microbatch, so that sums over microbatches
// have one order; F comes behind that of the chunk before, I behind F and behind that of the chunk after, W behind I.
void check_program(const Program& program);

}  // namespace birkhoff
