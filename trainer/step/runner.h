#pragma once
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "parallel/pipeline/program.h"
#include "trainer/models/stage.h"
#include "trainer/step/frame_pool.h"

namespace birkhoff {

// Carries out programs over the stages of a model that lie on this rank: the microbatches of a training step, of an
// evaluation, and of the search for what is not finite.
class Runner {
 public:
  // Chunk c of a program is stages[c].
  Runner(Stream stream, const std::vector<Stage>& stages, int num_slots)
      : stages_(&stages), frames_(stream, num_slots) {}

  struct Job {
    const Program* program = nullptr;
    // The batch of a microbatch, in the memory of its frame. Called once for each chunk.
    std::function<BatchView(Arena& memory, size_t microbatch)> batch;
    Frame::Mode mode = Frame::Mode::training;
    Instrument* instrument = nullptr;  // may be null
    // Called with the number of a unit at the last B or W of its chunk, when its gradients are complete over all
    // microbatches of the program.
    Stage::UnitDone on_unit_done = [](int) {};
  };
  // BugError where the program cannot be carried out (parallel/pipeline/program.h).
  void run(const Job& job);

  int num_chunks() const { return static_cast<int>(stages_->size()); }
  // Most frames in use at once so far: a microbatch in flight has one in each chunk.
  size_t peak_frames() const { return frames_.peak_frames(); }
  size_t peak_bytes() const { return frames_.peak_bytes(); }

 private:
  // A microbatch in a chunk.
  struct Flight {
    Frame* frame = nullptr;
    State out, gradient;     // of the chunk's output
    size_t last_action = 0;  // that reads the frame
  };
  using Flights = std::map<std::pair<int, int>, Flight>;

  Flights flights_of(const Program& program) const;
  void forward(const Job& job, const Action& action);
  void backward(const Job& job, const Action& action);
  void pass_on(const Action& action, State gradient);

  const std::vector<Stage>* stages_;
  FramePool frames_;
  Flights flights_;
};

}  // namespace birkhoff
