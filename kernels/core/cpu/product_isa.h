#pragma once
#include "kernels/core/cpu/isa.h"

namespace birkhoff {

// Whether this processor multiplies pairs of bf16 at least as fast as pairs of f32. AMD processors do since Zen 4,
// twice as fast; on Intel's Sapphire Rapids the bf16 instruction runs at a quarter of the rate of the f32 one. Always
// true if BIRKHOFF_ISA is set, because the user then chooses the instructions.
bool has_fast_bf16_products();

// Like on_best_isa, for kernels whose avx512_bf16 variant spends its time in products of bf16: uses avx512 if these are
// slow.
template <class Make>
auto on_best_product_isa(Make make) {
#if defined(__x86_64__)
  if (best_isa() == Isa::avx512_bf16 && !has_fast_bf16_products()) return make.template operator()<Isa::avx512>();
#endif
  return on_best_isa(make);
}

}  // namespace birkhoff
