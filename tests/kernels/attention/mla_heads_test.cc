#include "kernels/attention/mla_heads.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase mla_case(int64_t T, int64_t H, int64_t N, int64_t R, int64_t V) {
  OpCase c;
  c.activation("kv", {T, H, N + V}).activation("k_rope", {T, R});
  c.output("k", {T, H, N + R}).output("v", {T, H, V});
  c.forward([](Stream& s, const Tensors& t) { mla_heads_forward(s, {t["k"], t["v"], t["kv"], t["k_rope"]}); });
  c.backward([](Stream& s, const Tensors& t) {
    mla_heads_backward(s, {t["d_kv"], t["d_k_rope"], t["d_k"], t["d_v"]});
  });
  return c;
}

TEST(MlaHeads, CpuEqualsReference) {
  mla_case(0, 2, 4, 2, 3).expect_cpu_equals_reference(2);
  mla_case(1, 1, 1, 1, 1).expect_cpu_equals_reference(1);
  mla_case(9, 5, 7, 4, 3).expect_cpu_equals_reference(5);
  mla_case(6, 3, 40, 37, 20).expect_cpu_equals_reference(3);
}

TEST(MlaHeads, BackwardMatchesFiniteDifferences) {
  mla_case(3, 4, 5, 2, 3).expect_gradients({"kv", "k_rope"}, {"k", "v"});
}

TEST(MlaHeads, PutsEachValueInItsPlace) {
  OpCase c = mla_case(1, 2, 1, 1, 1);
  const Device device{DeviceKind::reference};
  const auto kv = c.result(device, DType::f32, "kv"), r = c.result(device, DType::f32, "k_rope");
  EXPECT_EQ(c.result(device, DType::f32, "k"), (std::vector<double>{kv[0], r[0], kv[2], r[0]}));
  EXPECT_EQ(c.result(device, DType::f32, "v"), (std::vector<double>{kv[1], kv[3]}));
}

TEST(MlaHeads, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  auto take = [&](Shape shape) { return arena.take(DType::f32, shape); };
  EXPECT_THROW(mla_heads_forward(stream, {take({3, 2, 6}), take({3, 2, 3}), take({3, 2, 8}), take({3, 2})}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
