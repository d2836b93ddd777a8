#include "kernels/gemm/precision.h"

#include "kernels/core/error.h"
#include "kernels/gemm/gemms.h"

namespace birkhoff {
void check_linear_shapes(std::string_view op, Tensor outer, Tensor inner, Shape weight) {
  const int64_t O = weight[weight.rank() - 2], I = weight.back();
  BK_CHECK(outer.shape.back() == O && inner.shape.back() == I && outer.shape.rows() == inner.shape.rows(), op,
           ": rows are ", outer.shape, " and ", inner.shape, " for a weight ", weight);
}

DType Precision::activation() const { return recipe_ == Recipe::f32 ? DType::f32 : DType::bf16; }

std::unique_ptr<LinearGemms> Precision::linear(int64_t O, int64_t I, GemmRole role) const {
  BK_CHECK(O > 0 && I > 0, "a weight [", O, ", ", I, "] is empty");
  if (role == GemmRole::exact) return make_exact_linear(O, I);
  if (role == GemmRole::linear && recipe_ == Recipe::fp8_block) return make_fp8_linear(O, I, scales_);
  return make_native_linear(activation(), O, I);
}

std::unique_ptr<GroupedGemms> Precision::grouped(int64_t E, int64_t O, int64_t I) const {
  BK_CHECK(E > 0 && O > 0 && I > 0, "weights [", E, ", ", O, ", ", I, "] are empty");
  if (recipe_ == Recipe::fp8_block) return make_fp8_grouped(E, O, I, scales_);
  return make_native_grouped(activation(), E, O, I);
}

}  // namespace birkhoff
