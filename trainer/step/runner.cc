#include "trainer/step/runner.h"

#include <algorithm>

#include "kernels/elementwise/copy.h"

namespace birkhoff {
namespace {

using Kind = Action::Kind;

// Whether the action completes the weight gradients of its chunk. A program runs microbatches in ascending order, so
// the one with the highest number completes them.
bool completes_weights(const Program& program, const Action& a) {
  return a.microbatch + 1 == program.num_microbatches && (a.kind == Kind::backward || a.kind == Kind::backward_weight);
}

}  // namespace

// The output of a chunk is in the frame of this chunk. The next chunk reads it there in its actions F and I, and also
// in its W if it begins with a linear map. So a frame is kept until the last action of the next chunk on the same
// microbatch.
Runner::Flights Runner::flights_of(const Program& program) const {
  Flights flights;
  for (size_t i = 0; i < program.actions.size(); ++i) {
    const Action& a = program.actions[i];
    size_t& last = flights[{a.chunk, a.microbatch}].last_action;
    last = std::max(last, i);
    if (a.chunk > 0) flights[{a.chunk - 1, a.microbatch}].last_action = i;
  }
  return flights;
}

void Runner::run(const Job& job) {
  const Program& program = *job.program;
  check_program(program);
  BK_ASSERT(program.num_chunks == static_cast<int>(stages_->size()), "a program of ", program.num_chunks,
            " chunks for ", stages_->size(), " stages");
  const auto is_forward = [](const Action& a) { return a.kind == Kind::forward; };
  BK_ASSERT(job.mode != Frame::Mode::evaluation || std::ranges::all_of(program.actions, is_forward),
            "a backward in an evaluation, which keeps nothing for it");
  frames_.give_all_back();  // frames that an earlier run left taken when an error ended it
  flights_ = flights_of(program);
  for (size_t i = 0; i < program.actions.size(); ++i) {
    const Action& action = program.actions[i];
    if (action.kind == Kind::forward) {
      forward(job, action);
    } else {
      backward(job, action);
    }
    give_back(action.chunk, action.microbatch, i);
    if (action.chunk > 0) give_back(action.chunk - 1, action.microbatch, i);
  }
  flights_.clear();
}

// Gives the frame back if this was the last action that needs it.
void Runner::give_back(int chunk, int microbatch, size_t action) {
  const Flight& flight = flights_.at({chunk, microbatch});
  if (flight.last_action == action) frames_.give_back(*flight.frame);
}

void Runner::forward(const Job& job, const Action& a) {
  Flight& flight = flights_.at({a.chunk, a.microbatch});
  const auto microbatch = static_cast<size_t>(a.microbatch);
  flight.frame = &frames_.take();
  Frame& frame = *flight.frame;
  frame.mode = job.mode;
  frame.instrument = job.instrument;
  frame.batch = job.batch(frame.activations, microbatch);
  if (job.instrument) job.instrument->enter(microbatch);
  const State in = a.chunk > 0 ? flights_.at({a.chunk - 1, a.microbatch}).out : State{};
  const auto between_layers = [&frame] { return frame.taken_bytes() - frame.taken_in_divided_layers; };
  const size_t before = between_layers();
  flight.out = stages_->at(static_cast<size_t>(a.chunk)).forward(frame, in);
  if (job.mode == Frame::Mode::training)
    bytes_between_layers_ = std::max(bytes_between_layers_, between_layers() - before);
}

void Runner::backward(const Job& job, const Action& a) {
  Flight& flight = flights_.at({a.chunk, a.microbatch});
  const Stage& stage = stages_->at(static_cast<size_t>(a.chunk));
  const Stage::UnitDone nothing = [](int) {};
  const Stage::UnitDone& done = completes_weights(*job.program, a) ? job.on_unit_done : nothing;
  // A backward may recompute blocks, and these ask the instrument for the choices of their routers.
  if (job.instrument) job.instrument->enter(static_cast<size_t>(a.microbatch));
  if (a.kind == Kind::backward_weight) return stage.backward_weight(*flight.frame, done);
  if (a.kind == Kind::backward) return pass_on(a, stage.backward(*flight.frame, flight.gradient, done));
  pass_on(a, stage.backward_input(*flight.frame, flight.gradient));
}

// Copies the gradient into the frame of the previous chunk, since this chunk's frame may be reused before the backward
// of the previous chunk.
void Runner::pass_on(const Action& a, State d) {
  if (a.chunk == 0) return;
  Flight& before = flights_.at({a.chunk - 1, a.microbatch});
  Frame& frame = *before.frame;
  const auto copied = [&frame](Tensor from) {
    if (!from.present()) return Tensor{};
    const Tensor to = frame.take_gradient(from.dtype, from.shape);
    copy(frame.stream, to, from);
    return to;
  };
  before.gradient = {copied(d.x), copied(d.pre)};
}

}  // namespace birkhoff
