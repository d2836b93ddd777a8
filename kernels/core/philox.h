#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Counter-based random numbers: Philox 4x32 with 10 rounds. A value depends on (seed, stream key, index) and on nothing
// else: not on rank, thread or order.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
class Philox {
 public:
  // `key` separates uses of one seed: a parameter's name hash, a step, a sample id.
  Philox(uint64_t seed, uint64_t key) : seed_(seed), key_(key) {}
  std::array<uint32_t, 4> block(uint64_t index) const;
  // Uniform in [0, 1) with 53 bits, and standard normal (Box-Muller), element `index` of the sequence.
  double uniform(uint64_t index) const;
  double normal(uint64_t index) const;
  // Uniform in [0, bound), bound > 0; the bias is below bound / 2^64.
  uint64_t below(uint64_t index, uint64_t bound) const;

 private:
  uint64_t seed_, key_;
};

// A stable 64-bit key of a name (FNV-1a).
uint64_t key_of(std::string_view name);

}  // namespace birkhoff
