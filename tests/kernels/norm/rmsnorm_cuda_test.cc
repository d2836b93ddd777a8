#include "kernels/norm/rmsnorm.h"
#include "tests/support/cuda_test.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase rmsnorm_case(int64_t T, int64_t C, bool weighted) {
  OpCase c;
  c.activation("x", {T, C}).output("y", {T, C}).statistic_output("rstd", {T});
  if (weighted) c.parameter("gain", {C}, normal(3, 0.2, 1));
  c.forward([](Stream& s, const Tensors& t) { rmsnorm_forward(s, {t["y"], t["rstd"], t["x"], t["gain"], 1e-6f}); });
  c.backward([](Stream& s, const Tensors& t) {
    rmsnorm_backward(
        s, {.dx = t["d_x"], .dgain = t["d_gain"], .dy = t["d_y"], .x = t["x"], .gain = t["gain"], .rstd = t["rstd"]});
  });
  return c;
}

class RmsNormCuda : public CudaTest {};

TEST_F(RmsNormCuda, EqualsReference) {
  for (const auto& [T, C] : {std::pair{0, 8}, {3, 7}, {130, 65}, {65, 1000}}) {
    rmsnorm_case(T, C, true).expect_cuda_equals_reference(C + T);
    rmsnorm_case(T, C, false).expect_cuda_equals_reference(C + T);
  }
}

}  // namespace
}  // namespace birkhoff::test
