#pragma once
#include <cstdint>

namespace birkhoff {

// numpy.random.default_rng(seed).integers(0, bound, dtype=int64) as of numpy 1.17 to 2.x, for bound > 2^32. Released
// Engram models draw their multipliers from this generator; it is used for nothing else.
// Source:  O'Neill 2014, PCG (XSL-RR 128/64) and her seed_seq design; Lemire 2019, arXiv:1805.10941.
class NumpyRandom {
 public:
  explicit NumpyRandom(uint64_t seed);
  uint64_t next();
  // Uniform in [0, bound).
  int64_t integer(int64_t bound);

 private:
  using Word128 = unsigned __int128;
  Word128 state_ = 0, increment_ = 0;
};

}  // namespace birkhoff
