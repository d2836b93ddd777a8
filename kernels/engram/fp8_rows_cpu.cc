#include <array>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/engram/e4m3.h"
#include "kernels/engram/fp8_rows.h"

namespace birkhoff::cpu {
namespace {

const std::array<float, 256>& e4m3_table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (size_t k = 0; k < 256; ++k) values[k] = static_cast<float>(e4m3_value(static_cast<uint8_t>(k)));
    return values;
  }();
  return table;
}

}  // namespace

void fp8_rows_decode(const Fp8RowsArgs& a) {
  if (a.bytes.count() == 0) return;
  const int64_t blocks = a.scales.count(), size = a.bytes.shape[1] / a.scales.shape[1];
  const std::array<float, 256>& values = e4m3_table();
  with_activation_type(a.rows.dtype, [&]<class E>() {
    parallel_for(blocks, 1 + 16384 / size, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const float scale = static_cast<float>(ue8m0_value(a.scales.as<uint8_t>()[block]));
        for (int64_t k = block * size; k < (block + 1) * size; ++k) {
          a.rows.as<E>()[k] = E(values[a.bytes.as<uint8_t>()[k]] * scale);
        }
      }
    });
  });
}

}  // namespace birkhoff::cpu
