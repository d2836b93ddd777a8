#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "kernels/gemm/gemm.h"

namespace birkhoff {

// What cuBLASLt takes for granted unless it is told less.
inline constexpr uint32_t kMaxAlignment = 256;

// The largest power of two, up to kMaxAlignment, that divides the address. Memory of an arena has at least
// Arena::kAlignment; a view of rows may have as little as its dtype's size.
inline uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  return address == 0 ? kMaxAlignment : static_cast<uint32_t>(std::min<uintptr_t>(address & -address, kMaxAlignment));
}

// Of the operands a, b and c: products of one shape but of other alignments may need other algorithms.
using GemmAlignment = std::array<uint32_t, 3>;
inline GemmAlignment alignment_of(const GemmArgs& args) {
  return {alignment_of(args.a.data), alignment_of(args.b.data), alignment_of(args.c.data)};
}

}  // namespace birkhoff
