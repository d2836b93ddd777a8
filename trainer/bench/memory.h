#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/config/config.h"

namespace birkhoff {

// Bytes of one kind: as the meta device predicts them before anything is allocated, and as counted in the real run.
struct MemoryClass {
  std::string name;
  double predicted = 0, counted = 0;
};

struct MemoryUse {
  std::vector<MemoryClass> classes;
  double predicted = 0;  // their sum
  // Growth of peak resident memory, as the kernel counts it, from before the model is made to after its second step.
  // Pages mapped from files (program code) are counted apart. nullopt if /proc does not tell.
  std::optional<double> measured, mapped_files;
};

// Makes the model, runs two steps, and predicts the same on the meta device. Call it before anything else in the
// process has used much memory: memory that was freed and is used again does not count as growth.
MemoryUse measure_memory(Communicator& replicas, const Config& config);

}  // namespace birkhoff
