#include "kernels/engram/numpy_random.h"

#include <array>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// numpy's SeedSequence: mixes the seed into a pool of four words, from which any number of output words is derived.
class SeedSequence {
 public:
  explicit SeedSequence(uint64_t seed) {
    const std::array<uint32_t, 4> entropy{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32), 0, 0};
    uint32_t constant = 0x43b0d7e5;
    auto hash = [&constant](uint32_t value) {
      value ^= constant;
      constant *= 0x931e8875;
      value *= constant;
      return value ^ value >> 16;
    };
    for (size_t i = 0; i < 4; ++i) pool_[i] = hash(entropy[i]);
    for (size_t from = 0; from < 4; ++from) {
      for (size_t to = 0; to < 4; ++to) {
        if (from != to) pool_[to] = mix(pool_[to], hash(pool_[from]));
      }
    }
  }

  std::array<uint64_t, 4> state() const {
    std::array<uint64_t, 4> words{};
    uint32_t constant = 0x8b51f9dd;
    for (size_t i = 0; i < 8; ++i) {
      uint32_t value = pool_[i % 4] ^ constant;
      constant *= 0x58f38ded;
      value *= constant;
      value ^= value >> 16;
      words[i / 2] |= static_cast<uint64_t>(value) << (i % 2 * 32);
    }
    return words;
  }

 private:
  static uint32_t mix(uint32_t x, uint32_t y) {
    const uint32_t mixed = 0xca01f9dd * x - 0x4973f715 * y;
    return mixed ^ mixed >> 16;
  }

  std::array<uint32_t, 4> pool_{};
};

}  // namespace

NumpyRandom::NumpyRandom(uint64_t seed) {
  const std::array<uint64_t, 4> words = SeedSequence(seed).state();
  increment_ = (static_cast<Word128>(words[2]) << 64 | words[3]) << 1 | 1;
  next();
  state_ += static_cast<Word128>(words[0]) << 64 | words[1];
  next();
}

uint64_t NumpyRandom::next() {
  constexpr Word128 kMultiplier = static_cast<Word128>(0x2360ed051fc65da4) << 64 | 0x4385df649fccf645;
  state_ = state_ * kMultiplier + increment_;
  const uint64_t folded = static_cast<uint64_t>(state_ >> 64) ^ static_cast<uint64_t>(state_);
  const int turn = static_cast<int>(state_ >> 122);
  return folded >> turn | folded << (-turn & 63);
}

int64_t NumpyRandom::integer(int64_t bound) {
  BK_ASSERT(bound > int64_t{1} << 32, "smaller bounds draw 32 bits at a time");
  const uint64_t n = static_cast<uint64_t>(bound), rejected = -n % n;
  Word128 product = static_cast<Word128>(next()) * n;
  // Lemire's rejection: without it, some results would be more likely because n does not divide 2^64.
  while (static_cast<uint64_t>(product) < rejected) product = static_cast<Word128>(next()) * n;
  return static_cast<int64_t>(product >> 64);
}

}  // namespace birkhoff
