#include "kernels/gemm/gemm.h"

#include "kernels/core/dispatch.h"
#include "kernels/elementwise/copy.h"
#include "kernels/gemm/shapes.h"

namespace birkhoff {
namespace cpu {
void gemm(const GemmArgs&);
}
namespace reference {
void gemm(const GemmArgs&);
}
namespace cuda {
void gemm(Stream&, const GemmArgs&);
}

void gemm(Stream& stream, const GemmArgs& a) {
  const GemmSizes s = sizes_of(a);
  const int64_t b_rows = a.transpose_b ? s.N : s.K, b_columns = a.transpose_b ? s.K : s.N;
  BK_CHECK(a.b.shape.rows() == b_rows && a.b.shape.back() == b_columns, "gemm: b is ", a.b.shape, ", expected [",
           b_rows, ", ", b_columns, "]");
  BK_CHECK(a.c.shape.rows() == s.M && a.c.shape.back() == s.N, "gemm: c is ", a.c.shape, ", expected [", s.M, ", ", s.N,
           "]");
  check_gemm_types("gemm", {a.c.dtype, a.a.dtype, a.b.dtype}, a.accumulate);
  OpScope scope(stream, "gemm");
  stream.count_flops(2.0 * static_cast<double>(s.M) * static_cast<double>(s.N) * static_cast<double>(s.K));
  if (s.M == 0 || s.N == 0) return;
  if (s.K == 0) {
    if (!a.accumulate) fill_zero(stream, a.c);
    return;
  }
  BK_DISPATCH(stream, gemm, a);
}

}  // namespace birkhoff
