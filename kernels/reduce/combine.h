#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/core/dtype.h"

namespace birkhoff {

enum class Reduce : uint8_t { sum, max, min };
std::string_view name_of(Reduce reduce);

// Combines the host buffers of several ranks element by element, in the order of the sources:
//   out[i] = ((s_0[i] op s_1[i]) op s_2[i]) ...
//
// Shapes:  `count` elements in out and in every source; at least one source.
// Types:   every DType; bf16 is combined in f32 and rounded once.
// Aliases: out may be one of the sources.
// Errors:  none.
// Cost:    reads every source once, writes out once; bound by memory bandwidth.
// Source:  derived here. The fixed order makes results independent of the transport and bitwise reproducible.
struct CombineArgs {
  void* out = nullptr;
  std::span<const void* const> sources;
  int64_t count = 0;
  DType dtype = DType::f32;
  Reduce reduce = Reduce::sum;
};
void combine(const CombineArgs& args);

}  // namespace birkhoff
