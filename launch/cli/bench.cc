#include "trainer/bench/bench.h"

#include <cstdio>

#include "launch/cli/commands.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

struct Arguments {
  std::string config = "configs/bench/gpt_14m.yaml";
  std::vector<std::string> overrides;
  int64_t steps = 10;
  bool json = false;
};

ExitCode step(Communicator& world, const Arguments& a) {
  const StepBench bench = bench_step(world, load_config(a.config, a.overrides).config, a.steps);
  std::printf("%s\n", (a.json ? to_json(bench) : to_text(bench)).c_str());
  return ExitCode::done;
}

// The cost of the residual streams: the same model with and without them, step by step in turn.
ExitCode residual(Communicator& world, const Arguments& a) {
  std::vector<std::string> with = a.overrides, without = a.overrides;
  with.push_back("model.residual.type=mhc");
  without.push_back("model.residual.type=plain");
  const double ratio =
      bench_ratio(world, load_config(a.config, with).config, load_config(a.config, without).config, a.steps);
  if (a.json) {
    std::printf("{\"mhc_over_plain\": %.4f}\n", ratio);
  } else {
    std::printf("a step with mhc takes %.3f times as long as one with plain residuals\n", ratio);
  }
  return ExitCode::done;
}

void scenario(Command bench, const std::string& name, const std::string& help,
              ExitCode (*run)(Communicator&, const Arguments&)) {
  auto a = std::make_shared<Arguments>();
  bench.subcommand(name, help)
      .option("--config", a->config, "YAML file of the model")
      .option("--set", a->overrides, "a.b=c: override a setting, may be repeated")
      .option("--steps", a->steps, "timed steps")
      .flag("--json", a->json, "one JSON object")
      .run_parallel([a, run](Communicator& world) { return run(world, *a); });
}

}  // namespace

void add_bench(Cli& cli) {
  Command bench = cli.command("bench", "Measure this machine with real training code");
  scenario(bench, "step", "One training step, by op", step);
  scenario(bench, "residual", "mHC over plain residuals, in turn", residual);
}

}  // namespace birkhoff
