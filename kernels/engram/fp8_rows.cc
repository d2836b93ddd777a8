#include "kernels/engram/fp8_rows.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"

namespace birkhoff {
namespace cpu {
void fp8_rows_decode(const Fp8RowsArgs&);
}
namespace reference {
void fp8_rows_decode(const Fp8RowsArgs&);
}

void fp8_rows_decode(Stream& stream, const Fp8RowsArgs& a) {
  const Shape bytes = a.bytes.shape, scales = a.scales.shape;
  BK_CHECK(
      bytes.rank() == 2 && scales.rank() == 2 && bytes[0] == scales[0] && scales[1] > 0 && bytes[1] % scales[1] == 0,
      "fp8_rows: bytes are ", bytes, ", scales are ", scales, ", expected [N,D] and [N,D/B]");
  BK_CHECK(a.bytes.dtype == DType::u8 && a.scales.dtype == DType::u8, "fp8_rows: bytes are ", a.bytes.dtype,
           ", scales are ", a.scales.dtype, ", expected u8");
  check_shape("fp8_rows", "rows", a.rows, bytes);
  OpScope scope(stream, "fp8_rows");
  BK_DISPATCH_HOST(stream, fp8_rows_decode, a);
}

}  // namespace birkhoff
