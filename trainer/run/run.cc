#include "trainer/run/run.h"

#include <array>
#include <chrono>
#include <cmath>
#include <utility>

#include "data/hdf5/bulk_file.h"
#include "kernels/core/clock.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/run/directories.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/resume.h"
#include "trainer/run/same_run.h"
#include "trainer/run/saver.h"
#include "trainer/run/session.h"
#include "trainer/run/telemetry.h"

namespace birkhoff {
namespace {

enum class Stop : int32_t { no = 0, requested = 1, budget = 2, nonfinite = 3 };

// A training run from its first step to its last.
class Run {
 public:
  Run(WatchedWorld& watched, const LoadedConfig& config, const RunReports& reports)
      : origins_(config.origins), reports_(reports), session_(watched, config, reports) {}

  Outcome go() {
    begin();
    while (trainer().steps_done() < session_.config().run.steps && stop_ == Stop::no) {
      const auto deadline = session_.guard_step();
      const StepReport report = step();
      if (const std::string why = too_many_skips(); !why.empty()) return fail_for_skips(why, report);
      if (stop_ != Stop::nonfinite) save_and_evaluate();
    }
    if (stop_ == Stop::nonfinite) return fail_for_state();
    return trainer().steps_done() < session_.config().run.steps ? stop_early() : end();
  }

  void within_memory(const std::function<void()>& body) { session_.within_memory(body); }

 private:
  Trainer& trainer() { return session_.trainer(); }

  // Does everything before the first step. A start that fails must leave the directory as it was. So everything that
  // can fail because of a mistake of the user comes before claim_directory(), which changes the directory.
  void begin() {
    const Config& c = session_.config();
    const auto deadline = session_.guard_startup();
    const std::optional<Found> found = find_checkpoint(session_);
    std::optional<Cursor> cursor;
    if (found) {
      agree(session_.world(), found->manifest.step <= c.run.steps,
            concat("run.steps is ", c.run.steps, ", but ", found->path.string(),
                   ", which the run is to go on from, is of step ", found->manifest.step,
                   "; raise run.steps, or name an older checkpoint with --resume"));
      progress_ = resume_from(session_, *found);
      origin_ = Origin{found->path.string(), found->manifest.step};
      cursor = parse_cursor(progress_.cursor);
      tokens_ = cursor->tokens;
    }
    agree(session_.world(), [&] {
      loader_ = std::make_unique<Loader>(session_.loader_options(), cursor);
      if (!c.eval.data.empty()) eval_ = std::make_unique<EvalReader>(session_.eval_options());
    });
    if (!loader_->notice().empty()) session_.log(loader_->notice());
    // -1 for a checkpoint that is not one of this directory. Then no checkpoint in the directory belongs to this line
    // of training, so all of them are set aside, and the state is saved here again.
    const int64_t from = found && is_of_this_run(session_, *found) ? found->manifest.step : -1;
    telemetry_ = std::make_unique<Telemetry>(session_.world(), session_.mesh().place().degrees, session_.trace(),
                                             session_.model().decoder->options());
    saver_ = std::make_unique<Saver>(session_, progress_, from, [this](const SaveReport& report) {
      publish(telemetry_->checkpoint(report, progress_.failed_saves));
    });
    agree(session_.world(), [&] { claim_directory(from); });
    // A request may have come during the start-up; then no step is run.
    agree_to_stop();
    const int ranks = session_.world().size();
    session_.log(concat("training ", session_.model().parameters->num_parameters(), " parameters at layout ",
                        session_.mesh().describe(), " on ", ranks, ranks == 1 ? " rank" : " ranks", ", from step ",
                        trainer().steps_done(), " to ", c.run.steps));
    std::string table = trainer().optimizer_table();
    table.pop_back();
    session_.log("which parameter has which optimizer:\n" + table);
  }

  // Makes the directory describe this line of training only: sets aside the checkpoints of later steps, which belong to
  // another line, and writes the configuration.
  void claim_directory(int64_t from) {
    if (!session_.is_root()) return;
    tidy(session_.checkpoints());
    for (const std::filesystem::path& path : set_aside(session_.checkpoints(), from)) {
      session_.log(concat("set aside, since this run does not go on from it: ", path.string()));
    }
    try {
      publish_text(session_.directory() / "resolved.yaml", print_config(session_.config(), origins_));
    } catch (const IoError& e) {
      throw UserError(concat(e.what(), ". Make room, or choose another run.dir"));
    }
  }

  StepReport step() {
    const Config& c = session_.config();
    const int64_t done = trainer().steps_done();
    const double begin_s = now_s(), waited_s = loader_->wait_s();
    StepBatch batch;
    agree(session_.world(), [&] { batch = loader_->next(step_shape(c, done)); });
    const double rate = LearningRate(c.optimizer.schedule, c.run.steps).at(done);
    // The same on all ranks, because telemetry is collective in logged steps.
    const bool logged = (done + 1) % c.run.log_interval == 0 || done + 1 == c.run.steps;
    trainer().measure_gain(logged);
    // Nothing before the update changes the state, which a running save may still be copying.
    const StepReport report = trainer().step(batch, rate, [&] { saver_->wait_copied(); });
    tokens_ = batch.consumed_tokens;
    progress_.count(report, done + 1, c.optimizer.nonfinite_window);
    agree_to_stop(batch.bad_samples - std::exchange(bad_samples_here_, batch.bad_samples));
    if (report.skip_reason != SkipReason::none) log_skip(report);
    publish(telemetry_->step({done + 1, &report, &progress_, step_shape(c, done), batch.global_tokens, tokens_, rate,
                              now_s() - begin_s, loader_->wait_s() - waited_s, loader_->wait_s()},
                             logged));
    saver_->poll();
    return report;
  }

  // No checkpoint is saved while steps are being skipped: the weights may be the reason, and each new checkpoint would
  // remove an older one that is still good.
  void save_and_evaluate() {
    const Config& c = session_.config();
    const int64_t done = trainer().steps_done();
    const bool save_now =
        c.checkpoint.interval > 0 && done % c.checkpoint.interval == 0 && progress_.skipped_in_a_row == 0;
    const bool evaluate_now =
        c.eval.interval > 0 && done % c.eval.interval == 0 && done < c.run.steps && stop_ == Stop::no;
    if (save_now) save();
    if (evaluate_now) evaluate();
    if (save_now || evaluate_now) agree_to_stop();
  }

  static std::string reason_of(const StepReport& r) {
    return r.skip_reason == SkipReason::spike ? concat("the loss ", r.loss, " is a spike")
                                              : r.first_nonfinite + " is not finite";
  }

  void log_skip(const StepReport& r) {
    session_.log(
        concat("step ", trainer().steps_done(), ": ", reason_of(r), r.skipped ? "; the step was skipped" : ""));
  }

  void publish(const Record& record) {
    if (session_.is_root() && reports_.metrics != nullptr) reports_.metrics->publish(record);
  }

  // Combines what the ranks have seen since the last call, so that all of them take the same decision.
  Stop agree_to_stop(int64_t new_bad_samples = 0) {
    const Config& c = session_.config();
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - reports_.started;
    std::array<int64_t, 4> seen{};
    seen[0] = reports_.stop_requested && reports_.stop_requested();
    seen[1] = c.run.time_budget_s > 0 && spent.count() >= c.run.time_budget_s;
    seen[2] = new_bad_samples;
    seen[3] = !saver_->finite();  // the report reaches some ranks earlier than others
    all_reduce_on_host(session_.world(), std::span(seen));
    progress_.bad_samples += seen[2];
    // A state that is not finite overrides any other reason, because it decides how the run ends.
    if (seen[3] > 0) stop_ = Stop::nonfinite;
    if (stop_ == Stop::no && seen[1] > 0) stop_ = Stop::budget;
    if (stop_ == Stop::no && seen[0] > 0) stop_ = Stop::requested;
    return stop_;
  }

  void save() {
    progress_.cursor = to_string(loader_->cursor());
    saver_->begin();
  }

  // Returns false if the evaluation was broken off.
  bool evaluate() {
    if (!eval_) return true;
    const double begin_s = now_s();
    const auto e = birkhoff::evaluate(session_, *eval_, [&] { return agree_to_stop() != Stop::no; });
    if (!e) {
      session_.log(concat("the evaluation after step ", trainer().steps_done(), " was broken off"));
      return false;
    }
    publish(Telemetry::evaluation(*e, now_s() - begin_s));
    return true;
  }

  // All steps are done. The last checkpoint is written while the evaluation runs.
  Outcome end() {
    if (!saver_->has_begun()) save();
    const bool evaluated = evaluate();
    if (!evaluated) return stop_early();
    const Outcome outcome = finish_save(Outcome::done);
    if (outcome == Outcome::done)
      session_.log(concat("done: ", trainer().steps_done(), " steps, ", tokens_, " tokens"));
    return outcome;
  }

  // Ends a run that was stopped on request or by the time budget.
  Outcome stop_early() {
    const Outcome outcome = finish_save(Outcome::stopped);
    if (outcome == Outcome::stopped) {
      session_.log(concat("stopped after step ", trainer().steps_done(),
                          stop_ == Stop::budget ? " by the time budget" : " on request", "; ", resume_hint(),
                          " to go on"));
    }
    return outcome;
  }

  // Waits until the last checkpoint is on disk. Returns `saved` if it is, otherwise the outcome to end with instead.
  Outcome finish_save(Outcome saved) {
    progress_.cursor = to_string(loader_->cursor());
    if (saver_->finish()) return saved;
    if (!saver_->finite()) return fail_for_state();
    session_.log(concat("error: the last checkpoint could not be saved, what was trained after ", saved_so_far(),
                        " is lost: ", saver_->error(), ". Make room in ", session_.checkpoints().string(),
                        " if it is full, or fix the error above, and ", resume_hint()));
    return Outcome::unsaved;
  }

  std::string saved_so_far() const {
    if (saver_->saved_step() >= 0) return concat("step ", saver_->saved_step());
    return origin_ ? concat("step ", origin_->step) : "the start";
  }

  // How to resume. If the directory holds a checkpoint of this line, the same command with --resume none or a named
  // checkpoint would begin a new line and leave this one.
  std::string resume_hint() const {
    return session_.config().checkpoint.resume == "auto" || saver_->saved_step() < 0
               ? "start again with the same command"
               : "start again with --resume auto";
  }

  // Why the run must stop because of skipped steps; empty if it need not.
  std::string too_many_skips() const {
    const OptimizerOptions& o = session_.config().optimizer;
    if (progress_.skipped_in_a_row >= o.max_nonfinite_steps) {
      return concat(progress_.skipped_in_a_row, " steps in a row that were skipped");
    }
    const auto recent = static_cast<int64_t>(progress_.recent_skips.size());
    if (recent < o.max_nonfinite_in_window) return {};
    return concat("step ", session_.steps_done(), ", ", recent, " of the last ", o.nonfinite_window,
                  " steps having been skipped");
  }

  // Ends a run with too many skipped steps. No checkpoint was saved during them, so the advice is to resume from one
  // before them.
  Outcome fail_for_skips(const std::string& why, const StepReport& r) {
    saver_->settle();
    session_.log(concat("stopped after ", why, "; last: ", reason_of(r),
                        ". Resume from an older checkpoint with a lower learning rate or other data"));
    return Outcome::nonfinite;
  }

  // Ends a run in which a save found a value that is not finite, although no step had shown it.
  Outcome fail_for_state() {
    saver_->settle();
    session_.log(concat("stopped after step ", trainer().steps_done(), ": ", saver_->error(),
                        ". Nothing of it was saved; ", where_to_resume(), " with a lower learning rate or other data"));
    return Outcome::nonfinite;
  }

  std::string where_to_resume() const {
    const int64_t saved = saver_->saved_step();
    if (saved > (origin_ ? origin_->step : -1)) {
      return concat("the newest checkpoint is of step ", saved, ". Resume from that or an older one");
    }
    if (!origin_) return "there is no checkpoint from before it. Start anew";
    if (!progress_.began_finite) {
      return concat("what ", origin_->path, " holds was not finite either. Resume from an older checkpoint");
    }
    return concat("the newest checkpoint from before it is ", origin_->path, ". Resume from that or an older one");
  }

  // The checkpoint that the run went on from.
  struct Origin {
    std::string path;
    int64_t step;
  };

  Origins origins_;
  RunReports reports_;
  Session session_;
  Progress progress_;
  int64_t tokens_ = 0, bad_samples_here_ = 0;  // bad_samples_here_: by this replica since the process started
  Stop stop_ = Stop::no;
  std::optional<Origin> origin_;  // nullopt for a new run
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<EvalReader> eval_;
  std::unique_ptr<Telemetry> telemetry_;
  std::unique_ptr<Saver> saver_;
};

}  // namespace

Outcome run_training(WatchedWorld& watched, const LoadedConfig& config, const RunReports& reports) {
  const auto directories = take_directories(watched, config.config, reports);
  Run run(watched, config, reports);
  Outcome outcome = Outcome::done;
  run.within_memory([&] { outcome = run.go(); });
  return outcome;
}

}  // namespace birkhoff
