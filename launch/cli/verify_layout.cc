#include <algorithm>
#include <cstdio>
#include <optional>

#include "data/file/scratch_folder.h"
#include "data/hdf5/bulk_file.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/core/printable.h"
#include "launch/cli/commands.h"
#include "launch/cli/output_file.h"
#include "launch/last_words.h"
#include "launch/program_identity.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/first_ranks.h"
#include "parallel/comm/host_values.h"
#include "parallel/comm/threads/run_ranks.h"
#include "parallel/comm/watched.h"
#include "trainer/config/reader.h"
#include "trainer/proof/proof_config.h"
#include "trainer/proof/proof_memory.h"
#include "trainer/proof/report.h"
#include "trainer/run/same_run.h"

namespace birkhoff {
namespace {

constexpr int64_t kMostRanks = 1024, kMostSteps = 100;

struct VerifyOptions {
  std::string config, layouts = "all", device, backend = "threads", scratch, json, precision = "f32",
                      routing = "replayed";
  std::vector<std::string> overrides;
  int64_t ranks = 8, steps = 3;
  bool list = false;

  bool over_mpi() const { return backend == "mpi"; }
  Recipe recipe() const { return value_of<Recipe>(precision); }
  ProofRouting routes() const { return value_of<ProofRouting>(routing); }
};

// One proof on the ranks of the world, or on threads of its only rank. Every rank runs the same calls; only rank 0 has
// results and prints.
class Verification {
 public:
  // Collective. Errors: UserError, on all ranks, before any work.
  Verification(WatchedWorld& watched, const VerifyOptions& options) : o_(options), watched_(watched) {
    agree(world(), [&] { read(); });
    check_same_inputs(world(), config_, program_identity(),
                      concat("--layouts ", o_.layouts, " --steps ", o_.steps, " --ranks ", o_.ranks, " --routing ",
                             o_.routing, o_.list ? " --list" : ""));
  }

  ExitCode run() {
    if (o_.list) return list();
    agree(world(), [&] { check_memory(); });
    agree(world(), [&] { save(); });
    // Of the time between the steps of layouts, in which rank 0 judges and the others wait.
    const auto deadline = guard("the proof", static_cast<double>(report_.choice.layouts.size() + 1));
    make_scratch();
    print_inputs();
    Proof proof(config_, static_cast<int>(o_.steps), scratch_, runner(), o_.routes());
    record(proof);
    for (const ProofLayout& layout : report_.choice.layouts) {
      watched_.set_names(names_of_layout(layout.degrees, layout.ranks));
      report_.verdicts.push_back(proof.prove(layout));
      print_text(print(report_.verdicts.back()));
    }
    report_.complete = true;
    print_text(print_summary(report_));
    agree(world(), [&] { save(); });
    // The others may end only when rank 0 has judged, and they end with its code.
    const auto passed = broadcast_on_host(world(), static_cast<uint8_t>(report_.passed()), 0);
    return passed != 0 ? ExitCode::done : ExitCode::failed_cases;
  }

 private:
  Communicator& world() { return watched_.world(); }
  bool is_first() { return world().rank() == 0; }
  void print_text(const std::string& text) {
    if (!is_first()) return;
    std::fputs(printable(text).c_str(), stdout);
    std::fflush(stdout);
  }
  void print_first(const std::string& line) { print_text(line + "\n"); }

  void read() {
    check_backend();
    BK_CHECK(o_.steps >= 1 && o_.steps <= kMostSteps, "--steps is ", o_.steps, ", expected 1 to ", kMostSteps);
    BK_CHECK(o_.ranks >= 1 && o_.ranks <= kMostRanks, "--ranks is ", o_.ranks, ", expected 1 to ", kMostRanks);
    const bool sets_device = std::any_of(o_.overrides.begin(), o_.overrides.end(),
                                         [](const std::string& setting) { return setting.starts_with("run.device="); });
    BK_CHECK(o_.device.empty() || !sets_device, "--device and --set run.device are given; give one of them");
    const LoadedConfig loaded = load_config(o_.config, overrides());
    for (const std::string& warning : loaded.warnings) {
      if (is_first()) std::fprintf(stderr, "warning: %s\n", printable(warning).c_str());
    }
    for (const std::string& setting : given_degrees(loaded.config.parallel)) {
      if (is_first()) std::fprintf(stderr, "warning: %s has no effect: --layouts names the layouts\n", setting.c_str());
    }
    BK_CHECK(loaded.config.run.device != DeviceKind::reference || o_.recipe() == Recipe::f32, "--precision is ",
             o_.precision, ", but the reference device computes everything in f64; leave out one of the two");
    // What a layout may divide depends on the recipe of the proof, not on that of the config.
    Config proven = loaded.config;
    proven.precision.recipe = proven.run.device == DeviceKind::reference ? Recipe::f32 : o_.recipe();
    report_.choice = choose_layouts(o_.layouts, rules(proven), proven.parallel.dispatch);
    BK_CHECK(std::any_of(report_.choice.layouts.begin(), report_.choice.layouts.end(),
                         [](const ProofLayout& layout) { return layout.ranks > 1; }),
             "--layouts ", o_.layouts, " has one rank, which runs no other code than one rank, so it proves nothing; ",
             "name a layout of several ranks, such as dp2");
    ProofConfig proof = proof_config(loaded.config, report_.choice.layouts, o_.recipe());
    config_ = std::move(proof.config);
    Proof::check(config_, o_.routes());
    describe_inputs(std::move(proof.changes));
  }

  std::vector<std::string> overrides() const {
    std::vector<std::string> all = o_.overrides;
    if (!o_.device.empty()) all.push_back("run.device=" + o_.device);
    return all;
  }

  void check_backend() {
    const int ranks = world().size();
    BK_CHECK(
        o_.over_mpi() || ranks == 1, "mpirun started ", ranks,
        " ranks, but with --backend threads verify-layout makes its ranks itself, as threads of one process; start "
        "it without mpirun, or add --backend mpi");
    BK_CHECK(!o_.over_mpi() || o_.list || ranks > 1,
             "with --backend mpi the ranks are processes that mpirun starts, but there is only this one; start it as\n"
             "  mpirun -n ",
             o_.ranks, " birkhoff verify-layout ", o_.config, " --backend mpi --layouts ", o_.layouts);
  }

  LayoutRules rules(const Config& config) {
    LayoutRules rules;
    rules.refusal = [&config](const MeshDegrees& degrees) {
      std::string reasons;
      for (const LayoutProblem& p : problems_of_layout(config, degrees, std::nullopt)) {
        reasons += concat(reasons.empty() ? "" : "; ", name_of(p.axis), " ", p.degree, " ", p.what);
      }
      return reasons;
    };
    rules.most_ranks = static_cast<int>(o_.ranks);
    if (o_.over_mpi() && !o_.list && world().size() < o_.ranks) {
      rules.most_ranks = world().size();
      rules.most_ranks_by = "mpirun started";
    }
    return rules;
  }

  void describe_inputs(std::vector<std::string> changes) {
    report_.config = o_.config;
    report_.layouts = o_.layouts;
    report_.backend = o_.backend;
    report_.overrides = o_.overrides;
    report_.device = name_of(config_.run.device);
    report_.recipe = config_.run.device == DeviceKind::reference ? "f64" : name_of(config_.precision.recipe);
    report_.routing = o_.routing;
    report_.steps = o_.steps;
    report_.ranks = o_.ranks;
    report_.changes = std::move(changes);
  }

  void print_left_out() {
    for (const LayoutChoice::LeftOut& l : report_.choice.left_out)
      print_first(concat("left out: ", l.name, ": ", l.reason));
  }

  ExitCode list() {
    report_.complete = true;
    agree(world(), [&] { save(); });
    for (const ProofLayout& l : report_.choice.layouts)
      print_first(concat(l.name(), ", ", l.ranks, l.ranks == 1 ? " rank" : " ranks"));
    print_left_out();
    return ExitCode::done;
  }

  // One rank of each host decides for it.
  void check_memory() {
    if (world().local_rank() != 0) return;
    const int ranks_here = o_.over_mpi() ? world().local_size() : static_cast<int>(kMostRanks);
    const std::vector<ProofLayout>& layouts = report_.choice.layouts;
    const MemoryRoom room = memory_room();
    const auto need = [&](const Config& c) { return proof_memory(c, layouts, o_.steps, ranks_here); };
    const ProofMemory memory = need(config_);
    if (memory.fits(room)) return;
    const auto load = [&](const std::vector<std::string>& settings) {
      std::vector<std::string> all = overrides();
      all.insert(all.end(), settings.begin(), settings.end());
      return proof_config(load_config(o_.config, all).config, layouts, o_.recipe()).config;
    };
    // A quarter is left, since what is available changes.
    MemoryRoom less = room;
    less.of_host = less.of_host / 4 * 3;
    less.of_process = less.of_process / 4 * 3;
    const auto settings = smaller_settings(load, [&](const Config& c) { return need(c).fits(less); });
    throw UserError(print_too_large(memory, room, settings));
  }

  // Writes the report as it stands. The first call shows, before any work, whether the file can be written, and
  // replaces an older one that could be taken for that of this proof.
  void save() {
    if (!is_first() || o_.json.empty()) return;
    check_output_file("--json", o_.json);
    try {
      publish_text(o_.json, to_json(report_));
    } catch (const IoError& e) {
      throw UserError(concat("--json is ", o_.json, ", which cannot be written: ", e.what()));
    }
  }

  // The recorded states are written by rank 0 and read by all ranks.
  void make_scratch() {
    const std::filesystem::path parent =
        o_.scratch.empty() ? std::filesystem::temp_directory_path().string() : o_.scratch;
    std::string path;
    agree(world(), [&] {
      if (!is_first()) return;
      std::error_code ignored;
      BK_CHECK(std::filesystem::is_directory(parent, ignored), "--scratch is ", parent.string(),
               ", which is no folder; make it first");
      path = made_.emplace(parent).path().string();
    });
    scratch_ = broadcast_on_host(world(), path, 0);
    agree(world(), [&] {
      std::error_code ignored;
      BK_CHECK(std::filesystem::is_directory(scratch_, ignored), "this rank does not see ", scratch_.string(),
               ", which rank 0 made for the recorded states; give --scratch a folder that all hosts share");
    });
    // Beside the folder and not in it, since a proof that ends at its end removes the folder.
    if (o_.over_mpi()) watched_.set_folder(scratch_.string() + "-hang");
  }

  void print_inputs() {
    for (const std::string& change : report_.changes) print_first("for the proof, " + change);
    print_left_out();
  }

  RunRanks runner() {
    if (!o_.over_mpi()) return run_ranks;
    set_num_threads(1);
    return [this](int ranks, const std::function<void(Communicator&)>& body) {
      const auto deadline = guard(concat("the steps of ", ranks, ranks == 1 ? " rank" : " ranks"));
      run_on_first_ranks(world(), ranks, body);
    };
  }
  // A layout takes each step with an evaluation, then up to kUnbroken steps without loading, while rank 0 may still
  // judge the layout before.
  Watchdog::Scope guard(const std::string& phase, double layouts = 1) {
    const double steps = 2 * static_cast<double>(o_.steps + Proof::kUnbroken);
    return watched_.watchdog().guard(phase, layouts * steps * config_.parallel.timeout_step_s,
                                     "parallel.timeout_step_s");
  }

  void record(Proof& proof) {
    proof.record();
    if (o_.over_mpi()) proof.share(world());
    report_.zero_by_structure = proof.zero_by_structure();
    report_.vanished = proof.vanished();
    for (const std::string& where : report_.zero_by_structure) print_first("zero by structure: " + where);
    for (const std::string& where : report_.vanished) print_first("FAIL the gradient vanishes: " + where);
  }

  const VerifyOptions& o_;
  WatchedWorld& watched_;
  Config config_;
  ProofReport report_;
  std::optional<ScratchFolder> made_;  // on rank 0
  std::filesystem::path scratch_;
};

ExitCode verify(Communicator& world, const VerifyOptions& options) {
  WatchedWorld watched(world, process_end());
  return Verification(watched, options).run();
}

}  // namespace

void add_verify_layout(Cli& cli) {
  auto o = std::make_shared<VerifyOptions>();
  cli.command("verify-layout", "Prove that layouts compute what one rank computes")
      .positional("CONFIG", o->config, "YAML file; neither its data nor its tokenizer is read")
      .option("--layouts", o->layouts,
              "names such as dp2,dp4; all: every axis alone at 2 and 4, every pair and triple of axes")
      .flag("--list", o->list, "only print the layouts")
      .option("--ranks", o->ranks, "the most ranks of a layout")
      .option("--steps", o->steps, "steps that are compared")
      .choice("--backend", o->backend, {"threads", "mpi"},
              "what the ranks are: threads of one process, or the processes that mpirun started")
      .option("--device", o->device, "cpu or reference; default: that of the config")
      .choice("--precision", o->precision, {"f32", "bf16", "fp8_block"}, "the recipe, whatever the config says")
      .choice("--routing", o->routing, {"replayed", "free"},
              "whether a layout makes the choices of experts that one rank made, or its own")
      .option("--set", o->overrides, "section.name=value, over the file")
      .option("--scratch", o->scratch,
              "where to make a folder for recorded states, removed at the end; default: the system's temporary folder. "
              "With ranks on several hosts it must be on storage that they share")
      .option("--json", o->json, "a file for all that is printed, as a JSON object")
      .run_parallel([o](Communicator& world) { return verify(world, *o); });
}

}  // namespace birkhoff
