#include "trainer/run/saver.h"

#include "kernels/core/clock.h"

namespace birkhoff {

Saver::Saver(Session& session, Progress& progress, int64_t saved_step, Ended ended)
    : session_(session),
      progress_(progress),
      ended_(std::move(ended)),
      begun_step_(saved_step),
      saved_step_(saved_step) {
  const Config& c = session.config();
  writer_ = std::make_unique<CheckpointWriter>(
      session.world(), device_of(c), CheckpointOptions{session.checkpoints(), c.checkpoint.keep, c.checkpoint.async});
}

// The destructor of the writer waits for a running save, so it gets a deadline.
Saver::~Saver() {
  const auto deadline = session_.guard_checkpoint();
  writer_.reset();
}

// Settles first, because failed_saves is part of the state that is saved and must be equal on all ranks, while reports
// reach the ranks at different times.
void Saver::begin() {
  settle();
  if (!finite_) return;
  const auto deadline = session_.guard_checkpoint();
  begun_step_ = step();
  writer_->begin(
      begun_step_, [&](StateVisitor& v) { session_.state(v, progress_); }, session_.attachments());
  poll();
}

void Saver::poll() {
  if (const auto report = writer_->poll()) report_save(*report);
}

void Saver::settle() {
  const auto deadline = session_.guard_checkpoint();
  const double started = now_s();
  if (auto report = writer_->finish()) {
    report->blocked_s += now_s() - started;
    report_save(*report);
  }
}

bool Saver::finish() {
  settle();
  for (int attempts = has_begun() ? 1 : 2; attempts > 0 && finite_ && saved_step_ != step(); --attempts) {
    if (has_begun()) session_.log("trying once more to save it");
    begin();
    settle();
  }
  return saved_step_ == step();
}

void Saver::report_save(const SaveReport& r) {
  if (r.saved) {
    saved_step_ = r.step;
    session_.log(concat("checkpoint of step ", r.step, ": ", r.bytes, " bytes of this rank, copied in ", r.copy_s,
                        " s, written in ", r.write_s, " s, training waited ", r.blocked_s, " s"));
  } else {
    progress_.failed_saves += 1;
    finite_ = finite_ && r.finite;
    error_ = r.error;
    session_.log(
        concat("warning: the checkpoint of step ", r.step, " was not saved, the older ones are untouched: ", r.error));
  }
  ended_(r);
}

}  // namespace birkhoff
