#pragma once
#include <string>
#include <vector>

#include "trainer/proof/verify.h"

namespace birkhoff {

// What `birkhoff verify-layout` did and found.
struct ProofReport {
  // The inputs.
  std::string config, layouts, backend;  // the file, the value of --layouts, threads or mpi
  std::vector<std::string> overrides;
  std::string device, recipe, routing;
  int64_t steps = 0, ranks = 0;

  std::vector<std::string> changes;  // of the config, for the proof
  LayoutChoice choice;
  std::vector<std::string> zero_by_structure, vanished;
  std::vector<LayoutVerdict> verdicts;
  bool complete = false;  // false while the command runs, and where an error ended it

  bool passed() const;
};

// The last lines: how many layouts pass, and each that failed with its first failures.
std::string print_summary(const ProofReport& report);

// The same as one JSON object; docs/parallelism.md lists its keys. An error that is not finite is null.
std::string to_json(const ProofReport& report);

}  // namespace birkhoff
