#include "data/loader/permutation.h"

#include <algorithm>
#include <bit>

#include "kernels/core/error.h"
#include "kernels/core/philox.h"

namespace birkhoff {
namespace {

// Finalizer of splitmix64: every output bit depends on every input bit.
uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

Permutation::Permutation(uint64_t seed, uint64_t key, int64_t count) : count_(static_cast<uint64_t>(count)) {
  BK_ASSERT(count > 0);
  half_bits_ = std::max(1, (static_cast<int>(std::bit_width(count_ - 1)) + 1) / 2);
  const Philox random(seed, key);
  for (uint64_t round = 0; round < 8; ++round) {
    const auto block = random.block(round);
    round_keys_[round] = uint64_t{block[0]} << 32 | block[1];
  }
}

int64_t Permutation::operator()(int64_t index) const {
  uint64_t value = static_cast<uint64_t>(index);
  // The domain of encrypt() has at most 4 times `count` values, so the loop calls it at most 4 times on average. It
  // comes back into range because encrypt() is a permutation and the loop starts in range.
  do value = encrypt(value);
  while (value >= count_);
  return static_cast<int64_t>(value);
}

uint64_t Permutation::encrypt(uint64_t value) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_, right = value & mask;
  for (const uint64_t key : round_keys_) {
    const uint64_t next = left ^ (mix(right ^ key) & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

}  // namespace birkhoff
