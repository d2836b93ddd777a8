#pragma once
#include <cstdint>

#include "kernels/core/cpu/isa.h"
#include "kernels/moe/router.h"

namespace birkhoff::cpu {

// Row kernels of the router for one instruction set. `backward` turns the gradient of the scores, in place, into that
// of the logits.
struct RouterRows {
  void (*forward)(float* scores, const float* logits, int64_t rows, int64_t E, RouterScore score);
  void (*backward)(float* gradient, const float* scores, int64_t rows, int64_t E, RouterScore score);
};
template <Isa isa>
RouterRows router_rows();

}  // namespace birkhoff::cpu
