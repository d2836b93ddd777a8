#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "trainer/config/config.h"

namespace birkhoff {

// The memory that training takes on a rank, by what it is for. Beside it stands what the process takes anyway: the
// program, its libraries, the tokenizer and a few steps of tokens.
struct MemoryPlan {
  std::vector<std::pair<std::string, int64_t>> bytes;  // of the rank that holds most
  int ranks_on_host = 1;
  int64_t total() const;
};

// From a step of the config's model on the meta device. model.vocab_size is given.
MemoryPlan plan_memory(const Config& config, int replicas, int ranks_on_host);

// What there is.
struct MemoryRoom {
  int64_t of_host = 0;  // that the ranks of this host share
  std::string limited_by;
  int64_t of_process = INT64_MAX;  // that this process may still ask for
};
MemoryRoom memory_room();

// The table, and whether it fits.
std::string print(const MemoryPlan& plan, const MemoryRoom& room);

// What to do where it does not.
extern const char* const kMemoryRemedies;

}  // namespace birkhoff
