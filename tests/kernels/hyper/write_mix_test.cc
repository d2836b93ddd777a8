#include "kernels/hyper/write_mix.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase write_mix_case(int64_t T, int64_t S, int64_t C) {
  OpCase c;
  c.activation("x", {T, S, C}).activation("y", {T, C}).parameter("post", {T, S}).parameter("comb", {T, S, S});
  c.output("x_next", {T, S, C});
  c.forward([](Stream& s, const Tensors& t) {
    hyper_write_mix_forward(s, {t["x_next"], t["x"], t["y"], t["post"], t["comb"]});
  });
  c.backward([](Stream& s, const Tensors& t) {
    hyper_write_mix_backward(s, {.dx = t["d_x"],
                                 .dy = t["d_y"],
                                 .dpost = t["d_post"],
                                 .dcomb = t["d_comb"],
                                 .dx_next = t["d_x_next"],
                                 .x = t["x"],
                                 .y = t["y"],
                                 .post = t["post"],
                                 .comb = t["comb"]});
  });
  return c;
}

struct Size {
  int64_t T, S, C;
};
class HyperWriteMix : public testing::TestWithParam<Size> {};

TEST_P(HyperWriteMix, CpuEqualsReference) {
  const Size n = GetParam();
  write_mix_case(n.T, n.S, n.C).expect_cpu_equals_reference(n.C + n.S);
}

TEST_P(HyperWriteMix, BackwardMatchesFiniteDifferences) {
  const Size n = GetParam();
  write_mix_case(n.T, n.S, n.C).expect_gradients({"x", "y", "post", "comb"}, {"x_next"});
}

TEST_P(HyperWriteMix, WorksInPlace) {
  const Size n = GetParam();
  for (DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    OpCase in_place = write_mix_case(n.T, n.S, n.C);
    in_place.forward([](Stream& s, const Tensors& t) {
      copy(s, t["x_next"], t["x"]);
      hyper_write_mix_forward(s, {t["x_next"], t["x_next"], t["y"], t["post"], t["comb"]});
    });
    in_place.backward([](Stream& s, const Tensors& t) {
      copy(s, t["d_x"], t["d_x_next"]);
      hyper_write_mix_backward(s, {.dx = t["d_x"],
                                   .dy = t["d_y"],
                                   .dpost = t["d_post"],
                                   .dcomb = t["d_comb"],
                                   .dx_next = t["d_x"],
                                   .x = t["x"],
                                   .y = t["y"],
                                   .post = t["post"],
                                   .comb = t["comb"]});
    });
    for (const char* name : {"x_next", "d_x", "d_y", "d_post", "d_comb"}) {
      EXPECT_EQ(in_place.result(Device{kind}, DType::bf16, name),
                write_mix_case(n.T, n.S, n.C).result(Device{kind}, DType::bf16, name))
          << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, HyperWriteMix,
                         testing::Values(Size{0, 4, 8}, Size{3, 1, 7}, Size{5, 2, 16}, Size{9, 4, 35}, Size{2, 5, 33},
                                         Size{2, 16, 20}));

TEST(HyperWriteMix, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  auto take = [&](Shape shape) { return arena.take(DType::f32, shape); };
  const Tensor x = take({2, 4, 8}), y = take({2, 8}), post = take({2, 4});
  EXPECT_THROW(hyper_write_mix_forward(stream, {x, x, y, post, take({2, 4, 3})}), UserError);
  EXPECT_THROW(hyper_write_mix_forward(stream, {x, x, take({3, 8}), post, take({2, 4, 4})}), UserError);
  const Tensor many = take({1, 17, 8});
  EXPECT_THROW(hyper_write_mix_forward(stream, {many, many, take({1, 8}), take({1, 17}), take({1, 17, 17})}),
               UserError);
}

}  // namespace
}  // namespace birkhoff::test
