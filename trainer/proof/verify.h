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

// Proves that layouts compute what one rank computes. One rank takes steps from random weights on drawn documents and
// records its choices of experts, its gradients and its state before each step. A layout loads each of these states,
// which its own layout did not write, makes the recorded choices, and is judged step by step, since differences in f32
// grow threefold a step. Then it takes two steps without loading between them, so that a value that is read too early
// or not sent on shows in the second. It is judged by bounds a hundred times as wide, since some functions have no
// bound on how they raise rounding: the root in the gate of Engram has an infinite slope at 0 (thirty times was seen in
// f32), and Newton-Schulz raises singular values that consist of rounding.
//
// The config: model, optimizer and batch of a run, with a vocabulary; the recipe is f32 or the device the reference.
// Adam's eps is at least kProofEps (trainer/proof/proof_config.h): with a smaller one, gradients that consist only of
// rounding would give full updates, in directions that depend on the order of sums.
class Proof {
 public:
  // `scratch` is an empty folder for the recorded states.
  Proof(const Config& config, int steps, std::filesystem::path scratch, RunRanks run);
  // Records the steps of one rank. Errors: UserError if a step is skipped.
  void record();
  // Collective over ranks that are processes: they get what the first has recorded and the steps of a layout need.
  void share(Communicator& world);
  LayoutVerdict prove(const ProofLayout& layout);
  // Gradients of one rank that vanish though they are not zero by structure. Empty in a sound proof.
  const std::vector<std::string>& vanished() const { return vanished_; }
  // Gradients that are zero by structure: the mixing of the first site, where all streams are still equal.
  const std::vector<std::string>& zero_by_structure() const { return structural_; }
  const Config& config() const { return config_; }

 private:
  struct Recorded {
    StepResult result;
    RoutingRecord routing, evaluation;
  };
  struct Taken {
    std::vector<StepResult> steps;    // each from a loaded state
    std::vector<StepResult> chained;  // two without loading
  };
  std::filesystem::path folder_of(size_t step) const;
  StepResult replayed_step(ProofRank& rank, size_t step) const;
  Taken take_steps(const ProofLayout& layout) const;
  std::vector<OwnUpdate> updates_of_one_rank(const std::vector<StepResult>& steps) const;
  Bounds bounds() const;

  Config config_;
  std::filesystem::path scratch_;
  RunRanks run_;
  DrawnDocuments documents_;
  std::vector<Recorded> recorded_;
  std::map<std::string, Judged> families_;
  std::vector<std::string> vanished_, structural_;
};

// The verdict of one layout as lines: the worst error of each family, failures, and the time.
std::string print(const LayoutVerdict& verdict);

}  // namespace birkhoff
