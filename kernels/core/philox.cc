#include "kernels/core/philox.h"

#include <cmath>
#include <numbers>

namespace birkhoff {
namespace {
constexpr uint32_t kMul0 = 0xD2511F53u, kMul1 = 0xCD9E8D57u, kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;

uint64_t join(uint32_t low, uint32_t high) { return uint64_t{low} | (uint64_t{high} << 32); }
double unit(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }
}  // namespace

std::array<uint32_t, 4> Philox::block(uint64_t index) const {
  std::array<uint32_t, 4> c{static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                            static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)};
  uint32_t k0 = static_cast<uint32_t>(seed_), k1 = static_cast<uint32_t>(seed_ >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{kMul0} * c[0], p1 = uint64_t{kMul1} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return c;
}

double Philox::uniform(uint64_t index) const {
  const auto b = block(index);
  return unit(join(b[0], b[1]));
}

double Philox::normal(uint64_t index) const {
  const auto b = block(index);
  // 1 - unit() lies in (0, 1], so the logarithm is finite.
  const double radius = std::sqrt(-2.0 * std::log(1.0 - unit(join(b[0], b[1]))));
  return radius * std::cos(2.0 * std::numbers::pi * unit(join(b[2], b[3])));
}

uint64_t Philox::below(uint64_t index, uint64_t bound) const {
  const auto b = block(index);
  return static_cast<uint64_t>((static_cast<unsigned __int128>(join(b[0], b[1])) * bound) >> 64);
}

uint64_t key_of(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001b3u;
  return hash;
}

}  // namespace birkhoff
