#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/config/config.h"

namespace birkhoff {

// Bytes of one kind: as the meta device predicts them before anything is allocated, and as counted in the run.
struct MemoryClass {
  std::string name;
  double predicted = 0, counted = 0;
};

struct MemoryUse {
  std::vector<MemoryClass> classes;
  double predicted = 0;  // their sum
  // Growth of the peak of resident memory from before the model is made to after its second step, as the kernel
  // counted it; what was mapped from files (program code) apart. Nothing where /proc does not tell.
  std::optional<double> measured, mapped_files;
};

// Makes the model, runs two steps of it and predicts the same. To be called before anything else has used much memory,
// since freed memory that is used again is no growth.
MemoryUse measure_memory(Communicator& replicas, const Config& config);

}  // namespace birkhoff
