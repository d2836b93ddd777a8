#pragma once
// The gemms from which the recipes of precision.h are made.
#include <string_view>

#include "kernels/gemm/precision.h"

namespace birkhoff {

// Both operands have one dtype, f32 or bf16. On the cpu device the weight is packed.
std::unique_ptr<LinearGemms> make_native_linear(DType dtype, int64_t O, int64_t I);
std::unique_ptr<GroupedGemms> make_native_grouped(DType dtype, int64_t E, int64_t O, int64_t I);
// Operands are f32; activations of another dtype are widened.
std::unique_ptr<LinearGemms> make_exact_linear(int64_t O, int64_t I);
// Products of E4M3 codes, emulated (kernels/gemm/fp8_gemm.h).
std::unique_ptr<LinearGemms> make_fp8_linear(int64_t O, int64_t I, ScaleFormat scales);
std::unique_ptr<GroupedGemms> make_fp8_grouped(int64_t E, int64_t O, int64_t I, ScaleFormat scales);

// UserError unless outer [T, O] and inner [T, I] belong to a weight [O, I] or to weights [E, O, I].
void check_linear_shapes(std::string_view op, Tensor outer, Tensor inner, Shape weight);

}  // namespace birkhoff
