#include <atomic>
#include <csignal>
#include <cstdio>

#include "kernels/core/error.h"
#include "launch/cli/commands.h"
#include "parallel/comm/agree.h"
#include "trainer/loop/run.h"
#include "trainer/metrics/console.h"
#include "trainer/metrics/json_lines.h"
#include "trainer/metrics/prometheus.h"

namespace birkhoff {
namespace {

// Requests to stop. The loop asks once a step; a second request changes nothing.
std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);
void on_signal(int) { stop_requested = true; }

void catch_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (int signal : {SIGTERM, SIGUSR1, SIGINT}) sigaction(signal, &action, nullptr);
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

struct Arguments {
  std::string config, resume, checkpoint;
  std::vector<std::string> overrides;

  // A mistake is found on all ranks alike, and told once.
  LoadedConfig load(Communicator& world, ConfigUse use) const {
    std::vector<std::string> all = overrides;
    if (!resume.empty()) all.push_back("checkpoint.resume=" + resume);
    LoadedConfig loaded;
    agree(world, [&] { loaded = load_config(config, all, use); });
    return loaded;
  }
};

// The console that everything else is told on, owned by `metrics`.
Console& add_console(Metrics& metrics, const Config& c) {
  ConsoleOptions options;
  options.format = c.metrics.log_format == LogFormat::json ? LineFormat::json : LineFormat::text;
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
  const Warn warn = [&console](const std::string& text) { console.say("warning: " + text); };
  if (!c.metrics.jsonl.empty()) metrics.add(open_json_lines(std::filesystem::path(c.run.dir) / c.metrics.jsonl, warn));
  if (c.metrics.prometheus_port >= 0) {
    auto sink = open_prometheus(static_cast<int>(c.metrics.prometheus_port), {{"version", BIRKHOFF_VERSION}}, warn);
    if (sink) console.say("metrics: http://127.0.0.1:" + std::to_string(sink->port()) + "/metrics");
    metrics.add(std::move(sink));
  }
}

ExitCode train(Communicator& world, const Arguments& arguments) {
  const LoadedConfig config = arguments.load(world, ConfigUse::training);
  const bool first = world.rank() == 0;
  catch_signals();
  Metrics metrics;
  agree(world, [&] {
    std::error_code error;
    if (first) std::filesystem::create_directories(config.config.run.dir, error);
    BK_CHECK(!error, config.config.run.dir, " cannot be made: ", error.message(), ". Choose another run.dir");
  });
  RunReports reports{{}, [] { return stop_requested.load(); }, &metrics};
  if (first) {
    say(print_config(config.config, config.origins));
    Console& console = add_console(metrics, config.config);
    for (const std::string& warning : config.warnings) console.say("warning: " + warning);
    add_sinks(metrics, config.config, console);
    reports.say = [&console](const std::string& line) { console.say(line); };
  }
  const Outcome outcome = run_training(world, config, reports);
  switch (outcome) {
    case Outcome::done:
      return ExitCode::done;
    case Outcome::nonfinite:
      return ExitCode::nonfinite;
    case Outcome::stopped:
      return ExitCode::stopped;
  }
  return ExitCode::internal_error;
}

ExitCode evaluate(Communicator& world, const Arguments& arguments) {
  const EvaluationResult e =
      run_evaluation(world, arguments.load(world, ConfigUse::evaluation), arguments.checkpoint, {say, {}, nullptr});
  if (world.rank() == 0) {
    std::printf("step: %lld | loss: %.5f nats/token | bits_per_byte: %.5f | tokens: %.0f | bytes: %.0f\n",
                static_cast<long long>(e.step), e.loss, e.bits_per_byte, e.tokens, e.bytes);
  }
  return ExitCode::done;
}

}  // namespace

void add_train(Cli& cli) {
  auto a = std::make_shared<Arguments>();
  cli.command("train", "Train a model, or go on with one")
      .positional("CONFIG", a->config, "YAML file; birkhoff describe config lists the settings")
      .option("--set", a->overrides, "a.b=c: override a setting, may be repeated")
      .option("--resume", a->resume,
              "auto: from the newest valid checkpoint, if any; none: anew; or a checkpoint's folder")
      .run_parallel([a](Communicator& world) { return train(world, *a); });
}

void add_eval(Cli& cli) {
  auto a = std::make_shared<Arguments>();
  cli.command("eval", "Held-out loss of a checkpoint")
      .positional("CONFIG", a->config, "YAML file of the run")
      .option("--set", a->overrides, "a.b=c: override a setting, may be repeated")
      .option("--checkpoint", a->checkpoint, "a checkpoint's folder; otherwise the newest valid one of the run")
      .run_parallel([a](Communicator& world) { return evaluate(world, *a); });
}

}  // namespace birkhoff
