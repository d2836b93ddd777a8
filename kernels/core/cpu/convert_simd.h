#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// The conversions of convert.h for one instruction set.
struct ConvertKernels {
  void (*narrow)(bfloat16* to, const float* from, int64_t count);
  void (*widen)(float* to, const bfloat16* from, int64_t count);
};
template <Isa isa>
ConvertKernels convert_kernels();

}  // namespace birkhoff::cpu
