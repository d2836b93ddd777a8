#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "trainer/config/config.h"

namespace birkhoff {

// The memory that training takes on one rank, by purpose. It does not include what the process takes anyway: the
// program, its libraries, the tokenizer and a few steps of tokens.
struct MemoryPlan {
  std::vector<std::pair<std::string, int64_t>> bytes;  // of the rank that holds the most
  int ranks_on_host = 1;
  int64_t total() const;
};

// Plans by running a step of the config's model on the meta device. model.vocab_size must be set.
MemoryPlan plan_memory(const Config& config, int replicas, int ranks_on_host);

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
