#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "kernels/gemm/gemm.h"

namespace birkhoff {

// The alignment that cuBLASLt assumes unless a smaller one is set.
inline constexpr uint32_t kMaxAlignment = 256;

// The largest power of two, up to kMaxAlignment, that divides the address. Memory of an arena is aligned to at least
// Arena::kAlignment; a view of rows may be aligned only to the size of its dtype.
inline uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  return address == 0 ? kMaxAlignment : static_cast<uint32_t>(std::min<uintptr_t>(address & -address, kMaxAlignment));
}

// Alignments of a, b and c. Products of the same shape may need different algorithms if their alignments differ.
using GemmAlignment = std::array<uint32_t, 3>;
inline GemmAlignment alignment_of(const GemmArgs& args) {
  return {alignment_of(args.a.data), alignment_of(args.b.data), alignment_of(args.c.data)};
}

}  // namespace birkhoff
