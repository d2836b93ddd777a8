#pragma once
// Instruction sets of the vectorized kernels. A file <op>_simd.cc holds plain loops over raw pointers; the build
// compiles it once per instruction set, with the macro BIRKHOFF_ISA set to its name. At run time, the best one that the
// processor supports is chosen.
//
// Such a file must not let code for one processor reach another: the linker keeps only one copy of an inline function,
// and it may be one compiled for AVX-512. Therefore everything but the one exported specialization lives in an
// anonymous namespace, and the file uses no standard container and no inline function of another header beyond <cmath>,
// <cstdint>, kernels/core/cpu/simd.h and, where the instruction set is certain, intrinsics.
#include <cstdint>
#include <string_view>

namespace birkhoff {

enum class Isa : uint8_t { portable, avx2, avx512, avx512_bf16 };

// The best instruction set of this processor, or a lower one named by the environment variable BIRKHOFF_ISA.
Isa best_isa();
std::string_view name_of(Isa isa);

// Calls make.template operator()<I>() for the best instruction set I and returns its result.
template <class Make>
auto on_best_isa(Make make) {
#if defined(__x86_64__)
  switch (best_isa()) {
    case Isa::avx512_bf16:
      return make.template operator()<Isa::avx512_bf16>();
    case Isa::avx512:
      return make.template operator()<Isa::avx512>();
    case Isa::avx2:
      return make.template operator()<Isa::avx2>();
    case Isa::portable:
      break;
  }
#endif
  return make.template operator()<Isa::portable>();
}

}  // namespace birkhoff
