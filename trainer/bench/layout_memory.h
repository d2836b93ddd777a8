#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/config/config.h"
#include "trainer/plan/rank_bytes.h"

namespace birkhoff {

// Bytes of the ranks of a layout, planned as `birkhoff describe layout` does and counted in a run.
struct LayoutMemory {
  struct Class {
    std::string name;
    int64_t planned = 0, counted = 0;  // of the rank that is planned to hold the most
    int64_t difference = 0;            // largest difference between the two on any rank
    bool exact = false;                // whether the two must be equal whatever the data
  };
  std::vector<Class> classes;
  // All that a rank holds without a checkpoint, and by how much its peak resident memory grew, without memory mapped
  // from files. Of the rank whose plan is furthest from its growth. Absent if /proc does not give the numbers.
  struct Peak {
    int64_t planned = 0, measured = 0;
    double planned_over_measured() const { return static_cast<double>(planned) / static_cast<double>(measured); }
  };
  std::optional<Peak> peak;
  int64_t between_layers = 0;  // RankBytes::between_layers as counted, the largest of the ranks
};

// Lets all ranks take two steps in the layout of the config. All that the process allocates before should be in use, or
// released to the system, since memory that is used again does not count as growth.
// Collective; the result is the same on all ranks.
LayoutMemory measure_layout_memory(Communicator& world, const Config& config);
// The same of ranks that hold `counted`.
LayoutMemory compare_with_plan(Communicator& world, const RankBytes& planned, const RankBytes& counted,
                               std::optional<int64_t> growth);

}  // namespace birkhoff
