#include "kernels/elementwise/copy.h"
#include "kernels/hyper/write_mix.h"
#include "tests/support/cuda_test.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

enum class Place { apart, in_place };

OpCase write_mix_case(int64_t T, int64_t S, int64_t C, Place place) {
  OpCase c;
  c.activation("x", {T, S, C}).activation("y", {T, C}).parameter("post", {T, S}).parameter("comb", {T, S, S});
  c.output("x_next", {T, S, C});
  c.forward([=](Stream& s, const Tensors& t) {
    if (place == Place::in_place) copy(s, t["x_next"], t["x"]);
    const Tensor x = place == Place::in_place ? t["x_next"] : t["x"];
    hyper_write_mix_forward(s, {t["x_next"], x, t["y"], t["post"], t["comb"]});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    if (place == Place::in_place) copy(s, t["d_x"], t["d_x_next"]);
    const Tensor dx_next = place == Place::in_place ? t["d_x"] : t["d_x_next"];
    hyper_write_mix_backward(s, {.dx = t["d_x"],
                                 .dy = t["d_y"],
                                 .dpost = t["d_post"],
                                 .dcomb = t["d_comb"],
                                 .dx_next = dx_next,
                                 .x = t["x"],
                                 .y = t["y"],
                                 .post = t["post"],
                                 .comb = t["comb"]});
  });
  return c;
}

class HyperWriteMixCuda : public CudaTest {};

TEST_F(HyperWriteMixCuda, EqualsReference) {
  for (const Place place : {Place::apart, Place::in_place}) {
    for (const int64_t S : {1, 2, 4, 8}) {
      write_mix_case(0, S, 8, place).expect_cuda_equals_reference(8);
      write_mix_case(3, S, 7, place).expect_cuda_equals_reference(7 + S);
      write_mix_case(65, S, 1000, place).expect_cuda_equals_reference(1000 + S);
    }
  }
}

}  // namespace
}  // namespace birkhoff::test
