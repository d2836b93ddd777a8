#include "kernels/elementwise/copy.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/precision.h"
#include "tests/support/cuda_test.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

class GemmCuda : public CudaTest {};

TEST_F(GemmCuda, EqualsReferenceForEveryTransposeAndAccumulation) {
  const int64_t M = 72, N = 40, K = 96;
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      OpCase c;
      c.activation("a", transpose_a ? Shape{K, M} : Shape{M, K});
      c.activation("b", transpose_b ? Shape{N, K} : Shape{K, N});
      c.output("c", {M, N}).output_f32("sum", {M, N});
      c.forward([=](Stream& s, const Tensors& t) {
        gemm(s, {t["c"], t["a"], t["b"], transpose_a, transpose_b});
        fill(s, t["sum"], 2);
        gemm(s, {.c = t["sum"],
                 .a = t["a"],
                 .b = t["b"],
                 .transpose_a = transpose_a,
                 .transpose_b = transpose_b,
                 .accumulate = /*accumulate=*/true});
      });
      c.expect_cuda_equals_reference(K);
    }
  }
}

// The operands begin at the second row of a tensor with rows of odd length, so bf16 is aligned to 2 bytes and f32 to 4.
TEST_F(GemmCuda, EqualsReferenceWhateverTheAlignment) {
  const int64_t M = 33, N = 31, K = 35;
  OpCase c;
  c.activation("a", {M + 1, K}).activation("b", {K, N}).output("c", {M + 1, N});
  c.forward([=](Stream& s, const Tensors& t) {
    fill_zero(s, t["c"]);
    gemm(s, {t["c"].rows(0, M), t["a"].rows(0, M), t["b"]});
    gemm(s, {t["c"].rows(1, M), t["a"].rows(1, M), t["b"]});
  });
  c.expect_cuda_equals_reference(K);
}

TEST_F(GemmCuda, LinearEqualsReference) {
  const int64_t T = 48, O = 24, I = 64;
  OpCase c;
  c.activation("x", {T, I}).parameter("w", {O, I}).output("y", {T, O});
  const auto gemms = [=](Tensor x) {
    return Precision(x.dtype == DType::bf16 ? Recipe::bf16 : Recipe::f32).linear(O, I);
  };
  c.forward([=](Stream& s, const Tensors& t) { gemms(t["x"])->forward(s, t["y"], t["x"], {t["w"]}); });
  c.backward([=](Stream& s, const Tensors& t) {
    gemms(t["x"])->backward_input(s, t["d_x"], t["d_y"], {t["w"]});
    gemms(t["x"])->backward_weight(s, t["d_w"], t["d_y"], t["x"]);
  });
  c.expect_cuda_equals_reference(I, 2);
}

}  // namespace
}  // namespace birkhoff::test
