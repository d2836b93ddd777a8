#include "kernels/elementwise/axpy.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase axpy_case(int64_t count) {
  OpCase c;
  c.activation("a", {count}).parameter("b", {count}).parameter("factor", {1});
  c.output("sum", {count}).output_f32("wide", {count}).output("in_place", {count}).output("doubled", {count});
  c.output("scaled", {count}).output_f32("scaled_wide", {count});
  c.forward([](Stream& s, const Tensors& t) {
    axpy(s, {t["sum"], t["a"], t["b"]});
    axpy(s, {t["wide"], t["a"], t["b"], 0.5, -2});
    set_values(t["in_place"], values_of(t["a"]));
    axpy(s, {t["in_place"], t["in_place"], t["b"], 3});
    set_values(t["doubled"], values_of(t["a"]));
    axpy(s, {t["doubled"], t["doubled"], t["doubled"]});
    set_values(t["scaled"], values_of(t["a"]));
    scale(s, {t["scaled"], t["scaled"], t["factor"], 2});
    scale(s, {t["scaled_wide"], t["a"], {}, -1});
  });
  return c;
}

TEST(Axpy, CpuEqualsReference) {
  for (const int64_t count : {0, 1, 7, 1024, 50001}) axpy_case(count).expect_cpu_equals_reference(2);
}

TEST(Axpy, TakesAFactorInF64) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {2}), factor = arena.take(DType::f64, {1});
  set_values(x, {1, -3});
  set_values(factor, {0.5});
  scale(stream, {x, x, factor, 4});
  EXPECT_EQ(values_of(x), (std::vector<double>{2, -6}));
}

TEST(Axpy, RefusesCountsThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {2}), y = arena.take(DType::f32, {3});
  EXPECT_THROW(axpy(stream, {x, x, y}), UserError);
  EXPECT_THROW(scale(stream, {x, y, {}}), UserError);
  EXPECT_THROW(scale(stream, {x, x, y}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
