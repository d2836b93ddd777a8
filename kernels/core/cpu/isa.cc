#include "kernels/core/cpu/isa.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "kernels/core/cpu/product_isa.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr std::array<std::string_view, 4> kNames{"portable", "avx2", "avx512", "avx512_bf16"};

Isa detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni")) return Isa::avx512_bf16;
  if (avx512) return Isa::avx512;
  if (avx2) return Isa::avx2;
#endif
  return Isa::portable;
}

Isa choose() {
  const Isa found = detect();
  const char* wanted = std::getenv("BIRKHOFF_ISA");
  if (wanted == nullptr) return found;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == wanted) return std::min(found, static_cast<Isa>(i));
  }
  throw UserError(concat("BIRKHOFF_ISA is '", wanted, "'; expected one of portable, avx2, avx512, avx512_bf16"));
}

}  // namespace

Isa best_isa() {
  static const Isa isa = choose();
  return isa;
}

bool has_fast_bf16_products() {
#if defined(__x86_64__)
  static const bool fast = std::getenv("BIRKHOFF_ISA") != nullptr || !__builtin_cpu_is("intel");
  return fast;
#else
  return false;
#endif
}

std::string_view name_of(Isa isa) { return kNames[static_cast<size_t>(isa)]; }

}  // namespace birkhoff
