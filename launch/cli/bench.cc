#include "trainer/bench/bench.h"

#include <cstdio>

#include "data/hdf5/bulk_file.h"
#include "data/shard/manifest.h"
#include "kernels/core/error.h"
#include "launch/cli/commands.h"
#include "launch/cli/output_file.h"
#include "launch/last_words.h"
#include "launch/program_identity.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/watched.h"
#include "trainer/bench/step_worker.h"
#include "trainer/config/layout_rules.h"
#include "trainer/config/reader.h"
#include "trainer/run/same_run.h"

namespace birkhoff {
namespace {

struct Arguments {
  std::string config = "configs/bench/gpt_14m.yaml";  // empty if the scenario trains nothing
  std::vector<std::string> overrides;
  int64_t rounds = 10, timeout_s = 3600;
  std::string directory = ".", data, output, layouts;
  bool json = false, speed_only = false;
};

// The vocabulary size if the config leaves it to a tokenizer and no dataset gives one.
constexpr int64_t kVocabSize = 8192;

BenchOptions options_of(const Arguments& a) {
  BK_CHECK(a.rounds >= 1, "--rounds is ", a.rounds, ", expected at least 1");
  const std::filesystem::path folder = std::filesystem::path(a.output).parent_path();
  BK_CHECK(folder.empty() || std::filesystem::is_directory(folder), "--output is ", a.output, ", but ", folder.string(),
           " is not a directory; make it first");
  if (!a.output.empty()) check_output_file("--output", a.output);
  BK_CHECK(a.timeout_s >= 0, "--timeout is ", a.timeout_s, ", expected at least 0");
  BenchOptions o{{}, a.rounds, a.directory, a.data, a.speed_only, {}, a.layouts, nullptr};
  if (a.config.empty()) return o;
  o.config = load_config(a.config, a.overrides).config;
  if (o.config.model.vocab_size == 0)
    o.config.model.vocab_size = a.data.empty() ? kVocabSize : read_manifest(a.data).vocab_size;
  // The worker must be this very binary with the same configuration.
  o.step_worker = {"/proc/self/exe", "bench", "busy-worker", "--config", a.config};
  for (const std::string& setting : a.overrides) o.step_worker.insert(o.step_worker.end(), {"--set", setting});
  return o;
}

enum class Ranks { one, any };
using Scenario = Report (*)(Communicator&, const BenchOptions&);

// What must be the same on all ranks, besides the config.
std::string text_of(const Arguments& a) {
  return concat("--rounds ", a.rounds, " --layouts '", a.layouts, "' --directory '", a.directory, "' --data '", a.data,
                "'", a.speed_only ? " --speed-only" : "");
}

ExitCode run(Communicator& unrecorded, const std::string& name, Scenario scenario, Ranks ranks, const Arguments& a) {
  WatchedWorld watched(unrecorded, process_end());
  Communicator& world = watched.world();
  BenchOptions options;
  // One process alone waits for nobody, and may take as long as it likes.
  const auto deadline =
      watched.watchdog().guard("bench " + name, world.size() > 1 ? static_cast<double>(a.timeout_s) : 0, "--timeout");
  agree(world, [&] {
    options = options_of(a);
    BK_CHECK(ranks == Ranks::any || world.size() == 1, "bench ", name, " measures one process, but ", world.size(),
             " ranks were started; start it without mpirun");
  });
  if (scenario == bench_layout && world.rank() == 0) {
    for (const std::string& setting : given_degrees(options.config.parallel))
      std::fprintf(stderr, "warning: %s has no effect: --layouts names the layouts\n", setting.c_str());
  }
  check_same_inputs(world, options.config, program_identity(), text_of(a));
  options.unrecorded = &unrecorded;
  const Report report = scenario(world, options);
  agree(world, [&] {
    if (world.rank() != 0) return;
    std::printf("%s\n", (a.json ? to_json(report) : to_text(report)).c_str());
    if (!a.output.empty()) publish_text(a.output, to_json(report) + "\n");
  });
  return ExitCode::done;
}

// Returns the command, to which a scenario may add options of its own.
Command scenario(Command bench, const std::string& name, const std::string& help, Scenario body, Ranks ranks,
                 const std::shared_ptr<Arguments>& a) {
  Command command = bench.subcommand(name, help);
  if (!a->config.empty()) {
    command
        .option("--config", a->config,
                "YAML file of the model; a vocabulary left to a tokenizer is that of --data, or has 8192 tokens")
        .option("--set", a->overrides, "a.b=c: override a setting, may be repeated");
  }
  command.option("--rounds", a->rounds, "timed rounds, of which the median counts")
      .option("--timeout", a->timeout_s, "seconds after which several ranks that hang are ended; 0: never")
      .flag("--json", a->json, "one JSON object on one line; docs/benchmarks.md lists its keys")
      .option("--output", a->output, "a file for the same object, besides what is printed")
      .run_parallel([=](Communicator& world) { return run(world, name, body, ranks, *a); });
  return command;
}

std::shared_ptr<Arguments> arguments(const std::string& config = Arguments().config) {
  auto a = std::make_shared<Arguments>();
  a->config = config;
  return a;
}

constexpr char kDirectory[] = "where to make a folder for files, removed at the end";

}  // namespace

void add_bench(Cli& cli) {
  Command bench = cli.command("bench", "Measure this machine with real training code");
  const auto step = arguments();
  scenario(bench, "step", "A training step: speed by class of op, and peak memory against its prediction", bench_step,
           Ranks::one, step)
      .flag("--speed-only", step->speed_only, "tokens/s alone");
  scenario(bench, "residual", "mHC and single-pass mHC over a plain residual", bench_residual, Ranks::one, arguments());
  const auto checkpoint = arguments();
  scenario(bench, "checkpoint", "A checkpoint against a plain write of its bytes, and what training waits for it",
           bench_checkpoint, Ranks::one, checkpoint)
      .option("--directory", checkpoint->directory, kDirectory);
  const auto loader = arguments("configs/quickstart.yaml");
  scenario(bench, "loader", "The loader, Engram addresses included, against the step it feeds", bench_loader,
           Ranks::one, loader)
      .option("--directory", loader->directory, kDirectory)
      .option("--data", loader->data, "a dataset of birkhoff data ingest; otherwise one is made");
  scenario(bench, "ranks", "All ranks as one run against as many single ones, a thread each (mpirun -n 2)", bench_ranks,
           Ranks::any, arguments());
  const auto layout = arguments("configs/quickstart.yaml");
  scenario(bench, "layout", "Layouts of all ranks against replicas, a thread each: speed and memory (mpirun -n 2)",
           bench_layout, Ranks::any, layout)
      .option("--layouts", layout->layouts,
              "names such as tp2,ep2, or all; dp is what the other axes leave. Default: tp or ep besides dp");
  scenario(bench, "collectives", "Our collectives against MPI's calls of the same name (mpirun -n 2)",
           bench_collectives, Ranks::any, arguments(""));
  scenario(bench, "busy", "A step beside two busy processes, over one whose waits all sleep (also mpirun -n 2)",
           bench_busy, Ranks::any, arguments("configs/quickstart.yaml"));
  const auto worker = arguments();
  bench.subcommand("busy-worker", "What bench busy starts: times a step for each byte of its input")
      .option("--config", worker->config, "YAML file of the model")
      .option("--set", worker->overrides, "a.b=c: override a setting, may be repeated")
      .run([worker] {
        serve_steps(options_of(*worker));
        return ExitCode::done;
      });
}

}  // namespace birkhoff
