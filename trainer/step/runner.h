#pragma once
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "parallel/pipeline/program.h"
#include "trainer/models/stage.h"
#include "trainer/step/frame_pool.h"

namespace birkhoff {

// Executes programs over the stages of a model that are on this rank: for training steps, for evaluations, and for the
// search for non-finite values.
class Runner {
 public:
  // Chunk c of a program is stages[c].
  Runner(Stream stream, const std::vector<Stage>& stages, int num_slots)
      : stages_(&stages), frames_(stream, num_slots) {}

  struct Job {
    const Program* program = nullptr;
    // Uploads the batch of a microbatch to the memory of its frame. Called once per microbatch and chunk.
    std::function<BatchView(Arena& memory, size_t microbatch)> batch;
    Frame::Mode mode = Frame::Mode::training;
    Instrument* instrument = nullptr;  // may be null
    // Called with the number of a unit at the last B or W of its chunk, when its gradients are complete over all
    // microbatches of the program.
    Stage::UnitDone on_unit_done = [](int) {};
  };
  // Errors: BugError if the program is not valid (parallel/pipeline/program.h) or has another number of chunks.
  void run(const Job& job);

  int num_chunks() const { return static_cast<int>(stages_->size()); }
  // Largest number of frames in use at once so far. A microbatch in flight has one frame in each chunk.
  size_t peak_frames() const { return frames_.peak_frames(); }
  size_t peak_bytes() const { return frames_.peak_bytes(); }
  // Most bytes of activations that the training forward of a microbatch in a chunk has taken outside of layers that a
  // tensor-parallel group divides (DividedLayer), its batch not included.
  size_t bytes_between_layers() const { return bytes_between_layers_; }

 private:
  // A microbatch in flight in a chunk.
  struct Flight {
    Frame* frame = nullptr;
    State out, gradient;     // the chunk's output and its gradient
    size_t last_action = 0;  // index of the last action that reads the frame
  };
  using Flights = std::map<std::pair<int, int>, Flight>;  // by chunk and microbatch

  Flights flights_of(const Program& program) const;
  void give_back(int chunk, int microbatch, size_t action);
  void forward(const Job& job, const Action& action);
  void backward(const Job& job, const Action& action);
  void pass_on(const Action& action, State gradient);

  const std::vector<Stage>* stages_;
  FramePool frames_;
  Flights flights_;
  size_t bytes_between_layers_ = 0;
};

}  // namespace birkhoff
