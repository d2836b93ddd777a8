#include "kernels/gemm/grouped_gemm.h"

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

struct Sizes {
  std::vector<int64_t> rows;  // of each expert
  int64_t O, I;
  int64_t padding = 0;  // rows that belong to no expert

  int64_t experts() const { return static_cast<int64_t>(rows.size()); }
  std::vector<int64_t> offsets() const {
    std::vector<int64_t> out{0};
    for (const int64_t r : rows) out.push_back(out.back() + r);
    return out;
  }
  int64_t total() const { return offsets().back() + padding; }
};

OpCase grouped_case(const Sizes& s) {
  OpCase c;
  const int64_t R = s.total(), E = s.experts();
  c.activation("x", {R, s.I}).activation("weight", {E, s.O, s.I}).output("y", {R, s.O});
  c.parameter("master", {E, s.O, s.I}).index("offsets", s.offsets(), DType::i64);
  c.forward([](Stream& st, const Tensors& t) { grouped_gemm(st, {t["y"], t["x"], t["weight"], t["offsets"]}); });
  c.backward([](Stream& st, const Tensors& t) {
    grouped_gemm_backward_input(st, {t["d_x"], t["d_y"], t["weight"], t["offsets"]});
    grouped_gemm_backward_weight(st, {t["d_master"], t["d_y"], t["x"], t["offsets"]});
  });
  return c;
}

class GroupedGemm : public testing::TestWithParam<Sizes> {};

TEST_P(GroupedGemm, CpuEqualsReference) {
  const Sizes s = GetParam();
  grouped_case(s).expect_cpu_equals_reference(s.total() + s.O + s.I);
}

INSTANTIATE_TEST_SUITE_P(Sizes, GroupedGemm,
                         testing::Values(Sizes{{2, 0, 3}, 5, 7}, Sizes{{0, 0}, 4, 4}, Sizes{{1}, 1, 1},
                                         Sizes{{70, 0, 33, 128}, 96, 64, 11}, Sizes{{1030, 40}, 66, 33}));

TEST(GroupedGemm, BackwardMatchesFiniteDifferences) {
  const Sizes s{{3, 0, 2}, 4, 5};
  OpCase c;
  c.activation("x", {s.total(), s.I}).parameter("weight", {s.experts(), s.O, s.I}).output("y", {s.total(), s.O});
  c.index("offsets", s.offsets(), DType::i64);
  c.forward([](Stream& st, const Tensors& t) { grouped_gemm(st, {t["y"], t["x"], t["weight"], t["offsets"]}); });
  c.backward([](Stream& st, const Tensors& t) {
    grouped_gemm_backward_input(st, {t["d_x"], t["d_y"], t["weight"], t["offsets"]});
    grouped_gemm_backward_weight(st, {t["d_weight"], t["d_y"], t["x"], t["offsets"]});
  });
  c.expect_gradients({"x", "weight"}, {"y"});
}

TEST(GroupedGemm, LeavesThePaddingRowsAlone) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {3, 2}), w = arena.take(DType::f32, {1, 2, 2});
  const Tensor y = arena.take(DType::f32, {3, 2}), offsets = arena.take(DType::i64, {2});
  set_values(x, {1, 2, 3, 4, 5, 6});
  set_values(w, {1, 0, 0, 1});
  set_values(y, {9, 9, 9, 9, 9, 9});
  set_values(offsets, {0, 2});
  grouped_gemm(stream, {y, x, w, offsets});
  EXPECT_EQ(values_of(y), (std::vector<double>{1, 2, 3, 4, 9, 9}));
}

TEST(GroupedGemm, ResultDoesNotDependOnTheNumberOfThreads) {
  const Sizes s{{1500, 7, 0, 90}, 200, 72};
  const auto run = [&](int threads, const char* name) {
    const int before = num_threads();
    set_num_threads(threads);
    const auto values = grouped_case(s).result(Device{}, DType::bf16, name);
    set_num_threads(before);
    return values;
  };
  for (const char* name : {"y", "d_x", "d_master"}) EXPECT_EQ(run(1, name), run(3, name)) << name;
}

TEST(GroupedGemm, RefusesShapesAndOffsetsThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const auto f32 = [&](Shape s) { return arena.take(DType::f32, s); };
  const Tensor offsets = arena.take(DType::i64, {3});
  EXPECT_THROW(grouped_gemm(stream, {f32({4, 2}), f32({4, 3}), f32({1, 2, 3}), offsets}), UserError);
  EXPECT_THROW(grouped_gemm(stream, {f32({4, 2}), f32({4, 3}), f32({2, 3, 2}), offsets}), UserError);
  set_values(offsets, {0, 3, 9});
  EXPECT_THROW(grouped_gemm(stream, {f32({4, 2}), f32({4, 3}), f32({2, 2, 3}), offsets}), BugError);
}

}  // namespace
}  // namespace birkhoff::test
