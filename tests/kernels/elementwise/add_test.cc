#include "kernels/elementwise/add.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase add_case(int64_t count) {
  OpCase c;
  c.activation("a", {count}).parameter("b", {count}).parameter("factor", {1});
  c.output("sum", {count}).output_f32("wide", {count}).output("in_place", {count}).output("doubled", {count});
  c.output("scaled", {count}).output_f32("scaled_wide", {count});
  c.forward([](Stream& s, const Tensors& t) {
    add(s, {t["sum"], t["a"], t["b"]});
    add(s, {t["wide"], t["a"], t["a"], 0.5, -2});
    set_values(t["in_place"], values_of(t["a"]));
    add(s, {t["in_place"], t["in_place"], t["b"], 1, 3});
    set_values(t["doubled"], values_of(t["a"]));
    add(s, {t["doubled"], t["doubled"], t["doubled"]});
    set_values(t["scaled"], values_of(t["a"]));
    scale(s, {t["scaled"], t["scaled"], t["factor"], 2});
    scale(s, {t["scaled_wide"], t["a"], {}, -1});
  });
  return c;
}

TEST(Add, CpuEqualsReference) {
  for (const int64_t count : {0, 1, 7, 1024, 50001}) add_case(count).expect_cpu_equals_reference(2);
}

TEST(Add, TakesAFactorInF64) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {2}), factor = arena.take(DType::f64, {1});
  set_values(x, {1, -3});
  set_values(factor, {0.5});
  scale(stream, {x, x, factor, 4});
  EXPECT_EQ(values_of(x), (std::vector<double>{2, -6}));
}

TEST(Add, RefusesCountsThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {2}), y = arena.take(DType::f32, {3});
  EXPECT_THROW(add(stream, {x, x, y}), UserError);
  EXPECT_THROW(scale(stream, {x, y, {}}), UserError);
  EXPECT_THROW(scale(stream, {x, x, y}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
