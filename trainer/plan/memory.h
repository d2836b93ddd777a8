#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "trainer/plan/dry_rank.h"

namespace birkhoff {

// The memory that training takes on one rank, by purpose. It does not include what the process takes anyway: the
// program, its libraries, the tokenizer and a few steps of tokens.
struct MemoryPlan {
  std::vector<std::pair<std::string, int64_t>> bytes;
  int ranks_on_host = 1;
  int64_t total() const;
};

// The plan of a rank whose bytes are known. On the reference device it takes f64 where others take f32.
MemoryPlan memory_plan(const RankBytes& bytes, DeviceKind device, int ranks_on_host);
// Plans by running steps of one rank of the layout on the meta device. `layout` gives dp, and model.vocab_size is set.
MemoryPlan plan_memory(const Config& config, const MeshDegrees& layout, int rank, int ranks_on_host);

// Memory that this host and this process can still use.
struct MemoryRoom {
  int64_t of_host = 0;  // shared by all ranks of this host
  std::string limited_by;
  int64_t of_process = INT64_MAX;  // what this process may still allocate
};
MemoryRoom memory_room();

// The plan as a table, and whether it fits.
std::string print(const MemoryPlan& plan, const MemoryRoom& room);

// Advice appended to the error when the plan does not fit.
extern const char* const kMemoryRemedies;

}  // namespace birkhoff
