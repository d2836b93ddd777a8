#include <algorithm>

#include "kernels/core/cpu/check_indices.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/rope/rope.h"
#include "kernels/rope/rope_simd.h"

namespace birkhoff::cpu {

void rope(const RopeArgs& a) {
  check_indices("rope: position of token", a.positions, a.table.shape[0]);
  const int64_t H = a.x.shape[1], E = a.x.shape[2];
  const float sign = a.direction == RopeDirection::forward ? 1 : -1;
  with_activation_type(a.x.dtype, [&]<class T>() {
    static const auto kernels = on_best_isa([]<Isa isa>() { return rope_tokens<isa, T>(); });
    const auto rotate = a.layout == RopeLayout::interleaved ? kernels.interleaved : kernels.half;
    parallel_for(a.x.shape[0], 1 + 16384 / std::max<int64_t>(H * E, 1), [&](int64_t begin, int64_t end) {
      rotate({a.y.as<T>(), a.x.as<T>(), a.positions.as<int32_t>(), a.table.f32(), H, E, a.table.shape[1], a.offset,
              sign, begin, end});
    });
  });
}

}  // namespace birkhoff::cpu
