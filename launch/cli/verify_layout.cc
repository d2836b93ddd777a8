#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "data/file/scratch_folder.h"
#include "kernels/core/error.h"
#include "kernels/core/printable.h"
#include "launch/cli/commands.h"
#include "parallel/comm/threads/run_ranks.h"
#include "trainer/config/reader.h"
#include "trainer/proof/proof_config.h"
#include "trainer/proof/verify.h"

namespace birkhoff {
namespace {

struct VerifyOptions {
  std::string config, layouts = "all", device;
  std::vector<std::string> overrides;
  int64_t ranks = 8, steps = 3;
  bool list = false;
};

void print_line(const std::string& line) {
  std::printf("%s\n", printable(line).c_str());
  std::fflush(stdout);
}

std::vector<ProofLayout> chosen_layouts(const VerifyOptions& o) {
  if (o.layouts == "all") return all_layouts(static_cast<int>(o.ranks));
  std::vector<ProofLayout> layouts;
  std::string problems;
  std::istringstream names(o.layouts);
  for (std::string name; std::getline(names, name, ',');) {
    try {
      layouts.push_back(proof_layout(parse_layout(name), static_cast<int>(o.ranks)));
    } catch (const UserError& e) {
      problems += concat(problems.empty() ? "" : "\n", e.what());
    }
  }
  BK_CHECK(problems.empty(), problems);
  BK_CHECK(!layouts.empty(), "--layouts names no layout; give some, such as dp2,dp4, or all");
  return layouts;
}

ExitCode verify(const VerifyOptions& o) {
  const char* ranks_of_mpirun = std::getenv("OMPI_COMM_WORLD_SIZE");
  BK_CHECK(ranks_of_mpirun == nullptr || std::string(ranks_of_mpirun) == "1",
           "verify-layout makes its ranks itself, as threads of one process; start it without mpirun");
  std::vector<std::string> overrides = o.overrides;
  if (!o.device.empty()) overrides.push_back("run.device=" + o.device);
  const LoadedConfig loaded = load_config(o.config, overrides);
  for (const std::string& warning : loaded.warnings) std::fprintf(stderr, "warning: %s\n", printable(warning).c_str());
  const std::vector<ProofLayout> layouts = chosen_layouts(o);
  if (o.list) {
    for (const ProofLayout& layout : layouts) print_line(concat(layout.name(), ", ", layout.ranks, " ranks"));
    return ExitCode::done;
  }
  const ProofConfig config = proof_config(loaded.config, layouts);
  for (const std::string& change : config.changes) print_line("for the proof, " + change);
  const ScratchFolder scratch(std::filesystem::temp_directory_path());
  Proof proof(config.config, static_cast<int>(o.steps), scratch.path(), run_ranks);
  proof.record();
  for (const std::string& where : proof.zero_by_structure()) print_line("zero by structure: " + where);
  for (const std::string& where : proof.vanished()) print_line("FAIL the gradient vanishes: " + where);
  std::string failed;
  for (const ProofLayout& layout : layouts) {
    const LayoutVerdict verdict = proof.prove(layout);
    std::fputs(printable(print(verdict)).c_str(), stdout);
    std::fflush(stdout);
    if (!verdict.verdict.failures.empty()) failed += concat(" ", layout.name());
  }
  if (failed.empty() && proof.vanished().empty()) {
    print_line(concat(layouts.size(), layouts.size() == 1 ? " layout passes" : " layouts pass"));
    return ExitCode::done;
  }
  print_line("failed:" + failed);
  return ExitCode::failed_cases;
}

}  // namespace

void add_verify_layout(Cli& cli) {
  auto o = std::make_shared<VerifyOptions>();
  cli.command("verify-layout", "Prove that layouts compute what one rank computes")
      .positional("CONFIG", o->config, "YAML file; neither its data nor its tokenizer is read")
      .option("--layouts", o->layouts, "names such as dp2,dp4; all: every layout that --ranks allows")
      .flag("--list", o->list, "only print the layouts")
      .option("--ranks", o->ranks, "the most ranks of a layout")
      .option("--steps", o->steps, "steps that are compared")
      .option("--device", o->device, "cpu or reference; default: that of the config")
      .option("--set", o->overrides, "section.name=value, over the file")
      .run([o] { return verify(*o); });
}

}  // namespace birkhoff
