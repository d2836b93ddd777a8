#include "trainer/loop/run.h"

#include <chrono>
#include <cmath>

#include "parallel/comm/agree.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/loop/session.h"
#include "trainer/loop/telemetry.h"

namespace birkhoff {
namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

enum class Stop : int32_t { no = 0, requested = 1, budget = 2 };

// A training run from its first step to its last.
class Run {
 public:
  Run(Communicator& world, const LoadedConfig& config, const RunReports& reports)
      : reports_(reports), session_(prepare(world, config), config, reports) {}

  Outcome go() {
    const Config& c = session_.config();
    begin();
    while (trainer().steps_done() < c.run.steps) {
      const StepReport report = step();
      if (skipped_in_a_row_ >= c.optimizer.max_nonfinite_steps) return give_up(report);
      const int64_t done = trainer().steps_done();
      if (const Stop stop = stop_wanted(); stop != Stop::no && done < c.run.steps) return leave(stop);
      if (c.checkpoint.interval > 0 && done % c.checkpoint.interval == 0) save();
      if (c.eval.interval > 0 && done % c.eval.interval == 0 && done < c.run.steps) evaluate();
    }
    return end();
  }

 private:
  // The directory is made, tried and locked before anything slow happens.
  Communicator& prepare(Communicator& world, const LoadedConfig& loaded) {
    const Config& c = loaded.config;
    agree(world, [&] {
      BK_CHECK(!c.data.sources.empty(), "data.sources is empty; expected at least one dataset of birkhoff data ingest");
      if (world.rank() != 0) return;
      for (const std::string& dir : {c.run.dir, c.checkpoint.dir}) {
        std::error_code error;
        std::filesystem::create_directories(dir, error);
        BK_CHECK(!error && std::filesystem::is_directory(dir), dir, " cannot be made: ", error.message(),
                 ". Choose another run.dir");
      }
      std::string notice;
      lock_ = std::make_unique<DirectoryLock>(c.run.dir, notice);
      if (!notice.empty() && reports_.say) reports_.say(notice);
    });
    return world;
  }

  Trainer& trainer() { return session_.trainer(); }

  // A ramp that does not divide among the replicas would stop the run at some later step.
  void check_shapes() {
    const Config& c = session_.config();
    const int64_t share = c.batch.micro_batch_size * session_.replicas().size();
    for (int64_t i = 0; i <= std::min(c.batch.ramp.steps, c.run.steps); ++i) {
      const int64_t sequences = step_shape(c, i).global_sequences;
      BK_CHECK(sequences % share == 0, "batch.ramp gives step ", i + 1, " a batch of ", sequences, " sequences, which ",
               session_.replicas().size(), " replicas with micro_batch_size ", c.batch.micro_batch_size,
               " do not divide; choose initial_size and increment as multiples of ", share);
    }
  }

  void begin() {
    const Config& c = session_.config();
    const auto deadline = session_.watchdog().guard("start-up", c.parallel.timeout_init_s);
    agree(session_.replicas(), [&] { check_shapes(); });
    const std::optional<Found> found = session_.find();
    std::optional<Cursor> cursor;
    if (found) {
      std::string text = session_.load(*found);
      cursor = parse_cursor(text);
    }
    agree(session_.replicas(), [&] {
      loader_ = std::make_unique<Loader>(session_.loader_options(), cursor);
      if (!c.eval.data.empty()) eval_ = std::make_unique<EvalReader>(session_.eval_options());
    });
    writer_ = std::make_unique<CheckpointWriter>(
        session_.replicas(), device_of(c),
        CheckpointOptions{session_.checkpoints(), c.checkpoint.keep, c.checkpoint.async});
    telemetry_ =
        std::make_unique<Telemetry>(session_.replicas(), session_.trace(), session_.model().decoder->options());
    last_saved_ = trainer().steps_done();
    started_s_ = now_s();
    session_.say(concat("training ", session_.model().parameters->num_parameters(), " parameters on ",
                        session_.replicas().size(), session_.replicas().size() == 1 ? " replica" : " replicas",
                        ", from step ", trainer().steps_done(), " to ", c.run.steps));
    std::string table = trainer().optimizer_table();
    table.pop_back();
    session_.say("which parameter has which optimizer:\n" + table);
  }

  StepReport step() {
    const Config& c = session_.config();
    const int64_t done = trainer().steps_done();
    const auto deadline = session_.watchdog().guard(concat("step ", done + 1), c.parallel.timeout_step_s);
    const double begin_s = now_s(), waited_s = loader_->wait_s();
    StepBatch batch;
    agree(session_.replicas(), [&] { batch = loader_->next(step_shape(c, done)); });
    const double rate = learning_rate_of(c).at(done);
    const bool logged = (done + 1) % c.run.log_interval == 0 || done + 1 == c.run.steps;
    trainer().measure_gain(logged);
    const StepReport report = trainer().step(batch, rate, [&] { writer_->wait_copied(); });
    tokens_ = batch.consumed_tokens;
    skipped_in_a_row_ = report.skipped ? skipped_in_a_row_ + 1 : 0;
    if (!report.skip_reason.empty()) say_skip(report);
    publish(telemetry_->step({done + 1, &report, step_shape(c, done), batch.global_tokens, tokens_, batch.bad_samples,
                              rate, now_s() - begin_s, loader_->wait_s() - waited_s, loader_->wait_s()},
                             logged));
    poll_save();
    if (lock_) lock_->refresh();
    return report;
  }

  static std::string reason_of(const StepReport& r) {
    return r.skip_reason == "spike" ? concat("the loss ", r.loss, " is a spike") : r.first_nonfinite + " is not finite";
  }

  void say_skip(const StepReport& r) {
    session_.say(
        concat("step ", trainer().steps_done(), ": ", reason_of(r), r.skipped ? "; the step was skipped" : ""));
  }

  void publish(const Record& record) {
    if (session_.first() && reports_.metrics != nullptr) reports_.metrics->publish(record);
  }

  // One decision on all ranks: the highest reason that any of them has.
  Stop stop_wanted() {
    const Config& c = session_.config();
    int32_t reason = static_cast<int32_t>(Stop::no);
    if (reports_.stop_requested && reports_.stop_requested()) reason = static_cast<int32_t>(Stop::requested);
    if (c.run.time_budget_s > 0 && now_s() - started_s_ >= c.run.time_budget_s)
      reason = static_cast<int32_t>(Stop::budget);
    Stream host;
    session_.replicas().all_reduce({&reason, DType::i32, {1}}, Reduce::max)->wait(host);
    return static_cast<Stop>(reason);
  }

  void save() {
    const auto deadline = session_.watchdog().guard("checkpoint", session_.config().parallel.timeout_step_s);
    cursor_ = to_string(loader_->cursor());
    last_saved_ = trainer().steps_done();
    writer_->begin(
        last_saved_, [&](StateVisitor& v) { session_.state(v, cursor_); }, session_.attachments());
    poll_save();
  }

  void poll_save() {
    if (const auto report = writer_->poll()) tell(*report);
  }

  void tell(const SaveReport& r) {
    if (r.saved) {
      session_.say(concat("checkpoint of step ", r.step, ": ", r.bytes, " bytes of this rank, copied in ", r.copy_s,
                          " s, written in ", r.write_s, " s, training waited ", r.blocked_s, " s"));
    } else {
      session_.say(concat("warning: the checkpoint of step ", r.step,
                          " was not saved, the older ones are untouched: ", r.error));
    }
    publish(telemetry_->checkpoint(r));
  }

  void evaluate() {
    if (!eval_) return;
    const auto deadline = session_.watchdog().guard("evaluation", session_.config().parallel.timeout_step_s);
    const double begin_s = now_s();
    const EvaluationResult e = session_.evaluate(*eval_);
    publish(Telemetry::evaluation(e, now_s() - begin_s));
  }

  // The last checkpoint must be on disk before the process ends.
  bool save_and_wait() {
    if (last_saved_ != trainer().steps_done() || trainer().steps_done() == 0) save();
    const auto deadline = session_.watchdog().guard("checkpoint", session_.config().parallel.timeout_step_s);
    if (const auto report = writer_->finish()) tell(*report);
    return telemetry_->failed_saves() == 0;
  }

  Outcome end() {
    evaluate();
    save_and_wait();
    session_.say(concat("done: ", trainer().steps_done(), " steps, ", tokens_, " tokens"));
    return Outcome::done;
  }

  Outcome leave(Stop stop) {
    save_and_wait();
    session_.say(concat("stopped after step ", trainer().steps_done(),
                        stop == Stop::budget ? " by the time budget" : " on request",
                        "; start again with the same command to go on"));
    return Outcome::stopped;
  }

  // The weights are those of the last good step, but what follows them is not worth saving.
  Outcome give_up(const StepReport& r) {
    if (const auto report = writer_->finish()) tell(*report);
    session_.say(concat("stopped after ", skipped_in_a_row_, " steps in a row that were skipped; last: ", reason_of(r),
                        ". Resume from an older checkpoint with a lower learning rate or other data"));
    return Outcome::nonfinite;
  }

  RunReports reports_;
  std::unique_ptr<DirectoryLock> lock_;
  Session session_;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<EvalReader> eval_;
  std::unique_ptr<CheckpointWriter> writer_;
  std::unique_ptr<Telemetry> telemetry_;
  std::string cursor_;
  double started_s_ = 0;
  int64_t tokens_ = 0, skipped_in_a_row_ = 0, last_saved_ = -1;
};

}  // namespace

Outcome run_training(Communicator& world, const LoadedConfig& config, const RunReports& reports) {
  Run run(world, config, reports);
  return run.go();
}

EvaluationResult run_evaluation(Communicator& world, const LoadedConfig& config, const std::string& checkpoint,
                                const RunReports& reports) {
  Session session(world, config, reports);
  agree(world, [&] {
    BK_CHECK(!config.config.eval.data.empty(), "eval.data is not set; expected a dataset with a held-out split");
  });
  const std::optional<Found> found = checkpoint.empty() ? find_newest_valid(session.replicas(), session.checkpoints())
                                                        : require_valid(session.replicas(), checkpoint);
  if (!found) throw DataError(session.checkpoints().string() + " holds no checkpoint to evaluate");
  session.load(*found);
  EvalReader reader(session.eval_options());
  return session.evaluate(reader);
}

}  // namespace birkhoff
