#include "kernels/gemm/gemm.h"

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

struct Sizes {
  int64_t M, N, K;
};

OpCase gemm_case(Sizes s, bool transpose_a, bool transpose_b, bool accumulate) {
  OpCase c;
  c.activation("a", transpose_a ? Shape{s.K, s.M} : Shape{s.M, s.K});
  c.activation("b", transpose_b ? Shape{s.N, s.K} : Shape{s.K, s.N});
  c.output_f32("c", {s.M, s.N});
  if (!accumulate) c.output("rounded", {s.M, s.N});
  c.forward([=](Stream& stream, const Tensors& t) {
    for (int64_t i = 0; accumulate && i < t["c"].count(); ++i) {
      if (stream.device.kind == DeviceKind::reference)
        t["c"].as<double>()[i] = static_cast<double>(i % 7);
      else
        t["c"].f32()[i] = static_cast<float>(i % 7);
    }
    gemm(stream, {.c = t["c"],
                  .a = t["a"],
                  .b = t["b"],
                  .transpose_a = transpose_a,
                  .transpose_b = transpose_b,
                  .accumulate = accumulate});
    if (!accumulate) gemm(stream, {t["rounded"], t["a"], t["b"], transpose_a, transpose_b});
  });
  return c;
}

class Gemm : public testing::TestWithParam<Sizes> {};

TEST_P(Gemm, CpuEqualsReferenceForEveryTransposeAndAccumulation) {
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      for (const bool accumulate : {false, true}) {
        SCOPED_TRACE(testing::Message() << transpose_a << transpose_b << accumulate);
        gemm_case(GetParam(), transpose_a, transpose_b, accumulate).expect_cpu_equals_reference(GetParam().K);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Gemm,
                         testing::Values(Sizes{1, 1, 1}, Sizes{3, 5, 7}, Sizes{0, 4, 4}, Sizes{4, 0, 4}, Sizes{4, 4, 0},
                                         Sizes{1, 64, 33}, Sizes{79, 66, 31}, Sizes{64, 24, 96}, Sizes{130, 96, 160}));

TEST(Gemm, OfAnEmptySumIsZeroOrLeavesTheSumAsItIs) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor c = arena.take(DType::f32, {2, 2}), a = arena.take(DType::f32, {2, 0}),
               b = arena.take(DType::f32, {0, 2});
  set_values(c, {1, 2, 3, 4});
  gemm(stream, {.c = c, .a = a, .b = b, .accumulate = true});
  EXPECT_EQ(values_of(c), (std::vector<double>{1, 2, 3, 4}));
  gemm(stream, {.c = c, .a = a, .b = b});
  EXPECT_EQ(values_of(c), (std::vector<double>{0, 0, 0, 0}));
}

TEST(Gemm, ResultDoesNotDependOnTheNumberOfThreads) {
  const auto run = [](int threads, const char* name, DType dtype) {
    const int before = num_threads();
    set_num_threads(threads);
    const auto values = gemm_case({333, 129, 517}, true, true, false).result(Device{}, dtype, name);
    set_num_threads(before);
    return values;
  };
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto one = run(1, "c", dtype);
    EXPECT_EQ(one, run(2, "c", dtype));
    EXPECT_EQ(one, run(5, "c", dtype));
  }
}

class FlopCounter : public OpObserver {
 public:
  void begin(std::string_view) override {}
  void end() override {}
  void flops(double count) override { total += count; }
  double total = 0;
};

TEST(Gemm, CountsItsWorkOnTheMetaDeviceToo) {
  Arena arena{Device{DeviceKind::meta}};
  FlopCounter counter;
  Stream stream{arena.device(), nullptr, &counter};
  gemm(stream, {arena.take(DType::f32, {3, 5}), arena.take(DType::f32, {3, 7}), arena.take(DType::f32, {7, 5})});
  EXPECT_EQ(counter.total, 2.0 * 3 * 5 * 7);
}

TEST(Gemm, RefusesShapesAndTypesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const auto f32 = [&](Shape s) { return arena.take(DType::f32, s); };
  const auto bf16 = [&](Shape s) { return arena.take(DType::bf16, s); };
  EXPECT_THROW(gemm(stream, {f32({2, 3}), f32({2, 4}), f32({5, 3})}), UserError);
  EXPECT_THROW(gemm(stream, {f32({3, 2}), f32({2, 4}), f32({4, 3})}), UserError);
  EXPECT_THROW(gemm(stream, {f32({2, 3}), f32({2, 4}), bf16({4, 3})}), UserError);
  EXPECT_THROW(gemm(stream, {bf16({2, 3}), f32({2, 4}), f32({4, 3})}), UserError);
  EXPECT_THROW(gemm(stream, {.c = bf16({2, 3}), .a = bf16({2, 4}), .b = bf16({4, 3}), .accumulate = true}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
