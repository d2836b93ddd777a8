#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/config/config.h"

namespace birkhoff {

// Bytes of one kind: predicted by the meta device, which allocates nothing, and counted in the real run.
struct MemoryClass {
  std::string name;
  double predicted = 0, counted = 0;
};

struct MemoryUse {
  std::vector<MemoryClass> classes;
  double predicted = 0;  // their sum
  // Growth of peak resident memory, as the kernel counts it, from before the model is made to after its second step.
  // Pages mapped from files (program code) are counted separately. nullopt if /proc does not give the numbers.
  std::optional<double> measured, mapped_files;
};

// Builds the model and runs two steps, then does the same on the meta device to predict the memory. Call it before
// anything else in the process has used much memory: memory that was freed and is used again does not count as growth.
MemoryUse measure_memory(Communicator& replicas, const Config& config);

}  // namespace birkhoff
