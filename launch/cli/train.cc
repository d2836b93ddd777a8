#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>

#include "kernels/core/error.h"
#include "kernels/core/printable.h"
#include "launch/cli/commands.h"
#include "launch/cli/layout_option.h"
#include "launch/console.h"
#include "launch/last_words.h"
#include "launch/program_identity.h"
#include "launch/signals.h"
#include "parallel/comm/agree.h"
#include "trainer/metrics/json_lines.h"
#include "trainer/metrics/prometheus.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/run.h"

namespace birkhoff {
namespace {

// The time budget counts from this moment.
const auto process_started = std::chrono::steady_clock::now();

void print_line(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

struct Arguments {
  std::string config, layout, resume, checkpoint;
  std::vector<std::string> overrides;

  LoadedConfig loaded;
  std::exception_ptr config_error;

  // Reads the configuration before MPI starts, because the deadline of that start is one of its settings. An error is
  // kept for agreed(), which can report it once for all ranks.
  StartDeadline read(ConfigUse use) {
    std::vector<std::string> all = overrides;
    if (!resume.empty()) all.push_back("checkpoint.resume=" + resume);
    try {
      loaded = load_with_layout(config, layout, all, use);
    } catch (...) {
      config_error = std::current_exception();
    }
    return {loaded.config.parallel.timeout_init_s, "parallel.timeout_init_s"};
  }

  // Collective. If any rank could not read its configuration, throws the error of the lowest such rank on all ranks, so
  // that it is reported once.
  const LoadedConfig& agreed(WatchedWorld& watched) const {
    const auto deadline =
        watched.watchdog().guard("start-up", loaded.config.parallel.timeout_init_s, "parallel.timeout_init_s");
    agree(watched.world(), [&] {
      if (config_error) std::rethrow_exception(config_error);
    });
    return loaded;
  }
};

// Adds the console, which also prints all messages. Owned by `metrics`.
Console& add_console(Metrics& metrics, const Config& c) {
  ConsoleOptions options;
  options.format = c.metrics.log_format;
  options.steps = c.run.steps;
  options.interval = c.run.log_interval;
  if (c.metrics.progress == ProgressBar::auto_) options.bar = stream_of_bar();
  if (c.metrics.progress == ProgressBar::always) options.bar = stderr;
  auto console = std::make_unique<Console>(options);
  Console& added = *console;
  metrics.add(std::move(console));
  return added;
}

void add_sinks(Metrics& metrics, const Config& c, Console& console) {
  const Warn warn = [&console](const std::string& text) { console.log("warning: " + text); };
  if (!c.metrics.jsonl.empty()) metrics.add(open_json_lines(std::filesystem::path(c.run.dir) / c.metrics.jsonl, warn));
  if (c.metrics.prometheus_port >= 0) {
    auto sink = open_prometheus(static_cast<int>(c.metrics.prometheus_port), {{"version", BIRKHOFF_VERSION}}, warn);
    if (sink) console.log("metrics: http://127.0.0.1:" + std::to_string(sink->port()) + "/metrics");
    metrics.add(std::move(sink));
  }
}

ExitCode train(Communicator& world, const Arguments& arguments) {
  WatchedWorld watched(world, process_end());
  const LoadedConfig& config = arguments.agreed(watched);
  Metrics metrics;
  RunReports reports;
  reports.stop_requested = stop_requested;
  reports.metrics = &metrics;
  reports.program = program_identity();
  reports.started = process_started;
  if (world.rank() == 0) {
    print_line(print_config(config.config, config.origins));
    Console& console = add_console(metrics, config.config);
    for (const std::string& warning : config.warnings) console.log("warning: " + warning);
    reports.log = [&console](const std::string& line) { console.log(line); };
    // The log files are in run.dir, so they are opened only after this run has locked its directories.
    reports.directories_ready = [&] { add_sinks(metrics, config.config, console); };
  }
  const Outcome outcome = run_training(watched, config, reports);
  switch (outcome) {
    case Outcome::done:
      return ExitCode::done;
    case Outcome::nonfinite:
      return ExitCode::nonfinite;
    case Outcome::stopped:
      return ExitCode::stopped;
    case Outcome::unsaved:
      return ExitCode::unsaved;
  }
  return ExitCode::internal_error;
}

ExitCode evaluate(Communicator& world, const Arguments& arguments) {
  WatchedWorld watched(world, process_end());
  RunReports reports;
  reports.log = print_line;
  reports.program = program_identity();
  const LoadedConfig& config = arguments.agreed(watched);
  for (const std::string& warning : config.warnings) {
    if (world.rank() == 0) std::fprintf(stderr, "warning: %s\n", printable(warning).c_str());
  }
  const EvaluationResult result = run_evaluation(watched, config, arguments.checkpoint, reports);
  const ExitCode code = std::isfinite(result.loss) ? ExitCode::done : ExitCode::nonfinite;
  if (world.rank() != 0) return code;
  print_line(evaluation_line(result));
  const std::filesystem::path log = std::filesystem::path(config.config.run.dir) / "eval.jsonl";
  if (const std::string wrong = append_evaluation(log, result, config.config.eval.data); !wrong.empty())
    std::fprintf(stderr, "warning: %s; the evaluation is not recorded\n", printable(wrong).c_str());
  if (code == ExitCode::nonfinite) {
    std::fprintf(stderr, "error: the loss of %s is not finite; evaluate an older checkpoint\n",
                 printable(result.checkpoint).c_str());
  }
  return code;
}

}  // namespace

void add_train(Cli& cli) {
  auto a = std::make_shared<Arguments>();
  cli.command("train", "Train a model, or resume its training from a checkpoint")
      .positional("CONFIG", a->config, "YAML file; birkhoff describe config lists the settings")
      .option("--layout", a->layout, kLayoutHelp)
      .option("--set", a->overrides, "a.b=c: override a setting, may be repeated")
      .option("--resume", a->resume,
              "auto: start from the newest valid checkpoint, if any; none: start from step 0; or the folder of a "
              "checkpoint")
      .run_parallel([a](Communicator& world) { return train(world, *a); },
                    [a] {
                      catch_stop_requests();
                      return a->read(ConfigUse::training);
                    },
                    Prints::log);
}

void add_eval(Cli& cli) {
  auto a = std::make_shared<Arguments>();
  cli.command("eval", "Held-out loss of a checkpoint")
      .positional("CONFIG", a->config, "YAML file of the run")
      .option("--layout", a->layout, kLayoutHelp)
      .option("--set", a->overrides, "a.b=c: override a setting, may be repeated")
      .option("--checkpoint", a->checkpoint, "a checkpoint's folder; otherwise the newest valid one of the run")
      .run_parallel([a](Communicator& world) { return evaluate(world, *a); },
                    [a] { return a->read(ConfigUse::evaluation); });
}

}  // namespace birkhoff
