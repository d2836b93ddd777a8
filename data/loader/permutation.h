#pragma once
#include <cstdint>

namespace birkhoff {

// A pseudo-random permutation of [0, count) in constant memory. It is a Feistel network of 8 rounds over the smallest
// even number of bits that holds count - 1, applied again until the result lies in range (cycle walking). It depends
// only on (seed, key, count).
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
