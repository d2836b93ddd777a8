#include "kernels/reduce/reduce.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase reduce_case(int64_t count) {
  OpCase c;
  c.activation("x", {count}).output_f32("inverse", {1}).output_f32("largest", {1}).index_output("flag", {1});
  c.forward([](Stream& s, const Tensors& t) {
    inverse_norm(s, {t["inverse"], t["x"]});
    abs_max(s, {t["largest"], t["x"]});
    flag_nonfinite(s, {t["flag"], t["x"]});
  });
  return c;
}

TEST(Reduce, CpuEqualsReference) {
  for (const int64_t count : {0, 1, 7, 1000, 16384, 40001}) reduce_case(count).expect_cpu_equals_reference(1);
}

struct World {
  Arena arena{Device{}};
  Stream stream;
  Tensor x(DType dtype, int64_t count) {
    const Tensor t = arena.take(dtype, {count});
    std::vector<double> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(normal(2)(i));
    set_values(t, values);
    return t;
  }
  double run(void (*op)(Stream&, const ReduceArgs&), Tensor x, DType dtype = DType::f64) {
    const Tensor out = arena.take(dtype, {1});
    set_values(out, {0});
    op(stream, {out, x});
    return values_of(out)[0];
  }
};

constexpr DType kFloats[] = {DType::f32, DType::bf16, DType::f64};

TEST(Reduce, SumsInF64) {
  World w;
  for (const DType dtype : kFloats) {
    const Tensor x = w.x(dtype, 50000);
    double expected = 0;
    for (double v : values_of(x)) expected += v * v;
    EXPECT_NEAR(w.run(inverse_norm, x) * std::sqrt(expected), 1, 1e-13);
  }
}

TEST(Reduce, DoesNotOverflowWhereTheNormIsFinite) {
  World w;
  const Tensor x = w.x(DType::f32, 4);
  set_values(x, {1e30, -1e30, 1e30, 1e30});
  EXPECT_NEAR(w.run(inverse_norm, x) * 2e30, 1, 1e-6);
}

TEST(Reduce, GivesTheSameBitsForAnyNumberOfThreads) {
  World w;
  const Tensor x = w.x(DType::f32, 100003);
  const int before = num_threads();
  set_num_threads(1);
  const double one = w.run(inverse_norm, x);
  set_num_threads(3);
  EXPECT_EQ(w.run(inverse_norm, x), one);
  set_num_threads(before);
}

TEST(Reduce, FindsASingleNonfiniteElementAnywhere) {
  World w;
  for (const DType dtype : kFloats) {
    const Tensor x = w.x(dtype, 20000);
    EXPECT_EQ(w.run(flag_nonfinite, x, DType::i32), 0);
    for (const double bad : {NAN, -NAN, INFINITY, -INFINITY}) {
      for (const size_t i : {0, 16383, 16384, 19999}) {
        auto values = values_of(x);
        const Tensor broken = w.arena.take(dtype, {20000});
        values[i] = bad;
        set_values(broken, values);
        EXPECT_EQ(w.run(flag_nonfinite, broken, DType::i32), 1);
        if (std::isnan(bad)) {
          EXPECT_TRUE(std::isnan(w.run(abs_max, broken)));
        } else {
          EXPECT_EQ(w.run(abs_max, broken), INFINITY);
        }
      }
    }
  }
}

TEST(Reduce, DoesNotFlagTheLargestFiniteNumberAndKeepsAFlagThatIsSet) {
  World w;
  const Tensor x = w.x(DType::f32, 3), flag = w.arena.take(DType::i32, {1});
  set_values(x, {0, -static_cast<double>(std::numeric_limits<float>::max()), 1e-40});
  EXPECT_EQ(w.run(flag_nonfinite, x, DType::i32), 0);
  set_values(flag, {1});
  flag_nonfinite(w.stream, {flag, x});
  EXPECT_EQ(values_of(flag)[0], 1);
}

TEST(Reduce, RefusesAnOutputThatIsNotOneNumber) {
  World w;
  const Tensor x = w.x(DType::f32, 3);
  EXPECT_THROW(inverse_norm(w.stream, {w.arena.take(DType::f32, {2}), x}), UserError);
  EXPECT_THROW(inverse_norm(w.stream, {w.arena.take(DType::i32, {1}), x}), UserError);
  EXPECT_THROW(flag_nonfinite(w.stream, {w.arena.take(DType::f32, {1}), x}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
