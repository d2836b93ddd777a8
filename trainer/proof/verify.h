#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "trainer/proof/judge.h"
#include "trainer/proof/layouts.h"

namespace birkhoff {

struct LayoutVerdict {
  ProofLayout layout;
  Verdict verdict;
  double seconds = 0;
  // Why the layout proves nothing; empty if it does. For example it runs no other code than one rank.
  std::string not_counted;
};

// Runs `body` on so many ranks, each with its world communicator. The ranks are threads, or the first of the processes
// that mpirun started. In the second case every process makes the same calls of a Proof, and only the first of them has
// results: what is recorded, judged and returned elsewhere is empty.
using RunRanks = std::function<void(int ranks, const std::function<void(Communicator&)>& body)>;

// Whether a layout makes the choices of experts that one rank made, or its own.
enum class ProofRouting : uint8_t { replayed, free };
inline EnumNames names_of(ProofRouting) {
  static constexpr std::string_view names[] = {"replayed", "free"};
  return names;
}

// Proves that layouts compute what one rank computes. One rank takes steps from random weights on drawn documents and
// records its choices of experts, its gradients and its state before each step. A layout loads each of these states,
// which its own layout did not write, takes the same step, and is judged step by step, since differences in f32 grow
// from step to step. How it is judged depends on the config and on `routing`:
// - f32, routing replayed: within Bounds. Then the layout takes two steps without loading between them, so that a value
//   that is read too early or not sent on shows in the second. That one is judged by bounds five times as wide.
// - The reference device, routing replayed: the same within the bounds of f64, and ten steps without loading.
// - bf16 and fp8_block round at other places in another layout. The yardstick is one rank's own distance from the
//   reference device, which computes the same steps from the same states with the same choices.
// - routing free: each layout chooses by itself (free_routing.h). A step without disagreements is judged as above.
// In all of them the update must be what one rank's optimizer makes of the layout's own gradients.
//
// The config: model, optimizer and batch of a run, with a vocabulary. Adam's eps is at least kProofEps
// (trainer/proof/proof_config.h): with a smaller one, gradients that consist only of rounding would give full updates,
// in directions that depend on the order of sums.
class Proof {
 public:
  static constexpr int kUnbroken = 10;  // steps without loading on the reference device
  // Errors: UserError if routing is free in bf16 or fp8_block, where no bound on the difference of two scores follows
  // from rounding; or if sequences have fewer than 4 tokens, except on the reference device.
  static void check(const Config& config, ProofRouting routing);
  // `scratch` is an empty folder for the recorded states. Errors: those of check().
  Proof(const Config& config, int steps, std::filesystem::path scratch, RunRanks run,
        ProofRouting routing = ProofRouting::replayed);
  // Records the steps of one rank. Errors: UserError if a step is skipped.
  void record();
  // Collective over ranks that are processes: they get what the first has recorded and the steps of a layout need.
  void share(Communicator& world);
  LayoutVerdict prove(const ProofLayout& layout);
  // Call record() first. How far the losses and gradients of one rank are from those of the reference device, which
  // takes the same steps from the same states with the same choices.
  Verdict distance_from_reference(const Bounds& bounds);
  // Gradients of one rank that vanish though they are not zero by structure. Empty in a sound proof.
  const std::vector<std::string>& vanished() const { return vanished_; }
  // Gradients that are zero by structure: the mixing of the first site, where all streams are still equal.
  const std::vector<std::string>& zero_by_structure() const { return structural_; }
  const Config& config() const { return config_; }

 private:
  struct Recorded {
    StepResult result;
    RoutingRecord routing, evaluation;
    StepResult reference;  // the same step on the reference device: its gradients; empty until they are needed
  };
  class Judge;
  bool on_reference() const { return config_.run.device == DeviceKind::reference; }
  static bool in_f32(const Config& c) {
    return c.run.device == DeviceKind::reference || c.precision.recipe == Recipe::f32;
  }
  bool in_f32() const { return in_f32(config_); }
  std::filesystem::path folder_of(size_t step) const;
  Recorded record_step(ProofRank& rank, size_t step) const;
  void record_reference();
  StepResult replayed_step(ProofRank& rank, size_t step) const;
  void prove_steps(ProofRank& rank, Judge* judge) const;
  void prove_chain(ProofRank& rank, Judge* judge) const;
  Bounds bounds() const;
  bool mixes_without_bound() const;

  Config config_;
  std::filesystem::path scratch_;
  RunRanks run_;
  ProofRouting routing_;
  DrawnDocuments documents_;
  std::vector<Recorded> recorded_;
  size_t num_steps_;  // that layouts take from a loaded state; on the reference device more are recorded
  Whole last_state_;  // after all recorded steps, on the reference device
  std::map<std::string, Judged> families_;
  std::map<std::string, std::vector<int64_t>> matrix_begins_;  // of each table; see ProofRank
  std::vector<std::string> vanished_, structural_;
};

// The verdict of one layout as lines: the worst error of each family, failures, and the time.
std::string print(const LayoutVerdict& verdict);

}  // namespace birkhoff
