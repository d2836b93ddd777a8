#pragma once
#include <string_view>

#include "kernels/core/error.h"
#include "kernels/gemm/gemm.h"

namespace birkhoff {

struct GemmSizes {
  int64_t M, N, K;
};
inline GemmSizes sizes_of(const GemmArgs& a) {
  const int64_t rows = a.a.shape.rows(), columns = a.a.shape.back();
  return {a.transpose_a ? columns : rows, a.transpose_b ? a.b.shape.rows() : a.b.shape.back(),
          a.transpose_a ? rows : columns};
}

// UserError unless the operands have the same floating dtype and the output has that dtype too, or is f32 for bf16
// operands. An output that accumulates must not be bf16.
struct GemmTypes {
  DType out, a, b;
};
inline void check_gemm_types(std::string_view op, GemmTypes t, bool accumulate) {
  const bool fits = t.out == t.a || (t.a == DType::bf16 && t.out == DType::f32);
  BK_CHECK(t.a == t.b && is_float(t.a) && fits, op, ": no product of ", t.a, " and ", t.b, " into ", t.out);
  BK_CHECK(!accumulate || t.out != DType::bf16, op, ": bf16 does not accumulate; expected f32");
}

}  // namespace birkhoff
