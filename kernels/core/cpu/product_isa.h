#pragma once
#include "kernels/core/cpu/isa.h"

namespace birkhoff {

// Whether this processor multiplies pairs of bf16 at least as fast as two f32 each: AMD since Zen 4, twice as fast. On
// Intel's Sapphire Rapids the instruction runs at a quarter of the rate of the f32 one. True where BIRKHOFF_ISA is set:
// it asks for the instructions it names.
bool has_fast_bf16_products();

// on_best_isa for kernels that multiply bf16 in their avx512_bf16 variant and spend their time there.
template <class Make>
auto on_best_product_isa(Make make) {
#if defined(__x86_64__)
  if (best_isa() == Isa::avx512_bf16 && !has_fast_bf16_products()) return make.template operator()<Isa::avx512>();
#endif
  return on_best_isa(make);
}

}  // namespace birkhoff
