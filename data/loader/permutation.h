#pragma once
#include <cstdint>

namespace birkhoff {

// A pseudo-random permutation of [0, count) in constant memory: a Feistel network of 8 rounds over the next even number
// of bits, walked until it lands in range. Depends on (seed, key, count) only.
// Source: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, cycle walking.
class Permutation {
 public:
  Permutation(uint64_t seed, uint64_t key, int64_t count);
  int64_t operator()(int64_t index) const;

 private:
  uint64_t encrypt(uint64_t value) const;

  uint64_t round_keys_[8];
  int half_bits_;
  uint64_t count_;
};

}  // namespace birkhoff
