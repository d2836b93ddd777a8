#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/plan/memory.h"
#include "trainer/proof/layouts.h"

namespace birkhoff {

// The memory that the proof of a layout takes on one host, by purpose.
struct ProofMemory {
  ProofLayout layout;
  std::vector<std::pair<std::string, int64_t>> bytes;  // of all ranks on the host
  int64_t total() const;
  bool fits(const MemoryRoom& room) const;
};

// Of the layout that takes most. `config` is that of proof_config(), so all values are f32, or f64 on the reference
// device. At most `ranks_on_host` ranks of a layout are on the host, among them the one that records and judges.
ProofMemory proof_memory(const Config& config, const std::vector<ProofLayout>& layouts, int64_t steps,
                         int ranks_on_host);

// "a.b=c" settings that make a config smaller until it fits. They keep its features: every kind of layer, Engram, MTP,
// groups and shared experts; and its divisors: what 2, 4 or 8 divides, they divide afterwards, and what is odd stays
// odd. Empty if nothing helps. `load` reads the config with such settings, and throws a UserError where they
// contradict one another.
std::vector<std::string> smaller_settings(const std::function<Config(const std::vector<std::string>& settings)>& load,
                                          const std::function<bool(const Config&)>& fits);

// The error of a proof that does not fit: what it needs, what there is, and the settings that make it fit.
std::string print_too_large(const ProofMemory& memory, const MemoryRoom& room,
                            const std::vector<std::string>& settings);

}  // namespace birkhoff
