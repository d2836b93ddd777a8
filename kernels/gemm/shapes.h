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

// UserError unless the operands agree and the output is one that the products offer: f64; f32 from f32; bf16 or f32
// from bf16; and a floating sum of full width where it accumulates.
struct GemmTypes {
  DType out, a, b;
};
inline void check_gemm_types(std::string_view op, GemmTypes t, bool accumulate) {
  const bool fits = t.out == t.a || (t.a == DType::bf16 && t.out == DType::f32);
  BK_CHECK(t.a == t.b && is_float(t.a) && fits, op, ": no product of ", t.a, " and ", t.b, " into ", t.out);
  BK_CHECK(!accumulate || t.out != DType::bf16, op, ": bf16 does not accumulate; expected f32");
}

}  // namespace birkhoff
