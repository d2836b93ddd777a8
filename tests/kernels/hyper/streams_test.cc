#include "kernels/hyper/streams.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

struct Size {
  int64_t T, S, C;
};
class HyperStreams : public testing::TestWithParam<Size> {
 protected:
  OpCase expand() const {
    const Size n = GetParam();
    OpCase c;
    c.activation("h", {n.T, n.C}).output("x", {n.T, n.S, n.C});
    c.forward([](Stream& s, const Tensors& t) { hyper_expand(s, {t["x"], t["h"], 0.5f}); });
    c.backward([](Stream& s, const Tensors& t) { hyper_collapse(s, {t["d_h"], t["d_x"], 0.5f}); });
    return c;
  }
  OpCase collapse() const {
    const Size n = GetParam();
    OpCase c;
    c.activation("x", {n.T, n.S, n.C}).output("h", {n.T, n.C});
    c.forward([](Stream& s, const Tensors& t) { hyper_collapse(s, {t["h"], t["x"], 0.25f}); });
    c.backward([](Stream& s, const Tensors& t) { hyper_expand(s, {t["d_x"], t["d_h"], 0.25f}); });
    return c;
  }
};

TEST_P(HyperStreams, CpuEqualsReference) {
  expand().expect_cpu_equals_reference(GetParam().S);
  collapse().expect_cpu_equals_reference(GetParam().S);
}

TEST_P(HyperStreams, EachIsTheBackwardOfTheOther) {
  expand().expect_gradients({"h"}, {"x"});
  collapse().expect_gradients({"x"}, {"h"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, HyperStreams, testing::Values(Size{0, 4, 8}, Size{3, 1, 7}, Size{9, 4, 35}));

TEST(HyperStreams, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {2, 4, 8}), h = arena.take(DType::f32, {2, 4});
  EXPECT_THROW(hyper_expand(stream, {x, h}), UserError);
  EXPECT_THROW(hyper_collapse(stream, {h, x}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
