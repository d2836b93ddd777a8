#include "kernels/attention/attention.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "tests/kernels/attention/attended.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

struct Sizes {
  Heads heads;
  std::vector<int64_t> lengths;  // of the documents
};

void forward(Stream& s, const Tensors& t, const Ranges& r, double scale) {
  attention_forward(
      s, {.o = t["o"], .lse = t["lse"], .q = t["q"], .k = t["k"], .v = t["v"], .mask = r.mask(t), .scale = scale});
}

class Attention : public testing::TestWithParam<Sizes> {};

TEST_P(Attention, CpuEqualsReferenceWithinTheRoundingOfItsWeights) {
  const Heads n = GetParam().heads;
  const Ranges r = documents(GetParam().lengths);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Attended actual(n, r, Device{}, dtype), exact(n, r, Device{DeviceKind::reference}, DType::f64, &actual);
    const double sum = bound(DType::f32, r.num_keys + n.Dqk);
    EXPECT_LE(scaled_error(actual.values("lse"), exact.values("lse")), sum);
    for (const auto& [name, m] : magnitudes(n, r, exact)) {
      EXPECT_LE(worst_error(actual.values(name), exact.values(name), m, dtype, sum), 1) << name << ", " << dtype;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Attention,
                         testing::Values(Sizes{{2, 1, 8, 4}, {}}, Sizes{{1, 1, 1, 1}, {1}},
                                         Sizes{{3, 3, 7, 5}, {3, 1, 9}}, Sizes{{4, 2, 16, 16}, {64, 64}},
                                         Sizes{{2, 2, 24, 40}, {65, 130}}, Sizes{{6, 1, 64, 64}, {100, 301, 17}},
                                         Sizes{{2, 2, 192, 128}, {70, 1, 1, 90}}, Sizes{{1, 1, 64, 64}, {600}},
                                         Sizes{{3, 1, 34, 33}, {1, 127, 64, 200, 2}}));

TEST(Attention, BackwardMatchesFiniteDifferences) {
  for (const Sizes& n : {Sizes{{2, 2, 3, 5}, {4, 1, 6}}, Sizes{{4, 2, 4, 2}, {7}}, Sizes{{3, 1, 2, 3}, {2, 5}}}) {
    attention_case(n.heads, documents(n.lengths)).expect_gradients({"q", "k", "v"}, {"o"});
  }
}

TEST(Attention, DoesNotDependOnTheNumberOfThreads) {
  const int before = num_threads();
  // Whole ranges a thread, ranges left over, and one long document of one key head that all threads share.
  for (const Sizes& n :
       {Sizes{{4, 2, 16, 8}, {300, 280, 20}}, Sizes{{3, 1, 8, 8}, {700}}, Sizes{{2, 1, 6, 5}, {130, 1400}}}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      set_num_threads(1);
      const Attended one(n.heads, documents(n.lengths), Device{}, dtype);
      for (const int threads : {2, 5}) {
        set_num_threads(threads);
        const Attended many(n.heads, documents(n.lengths), Device{}, dtype);
        for (const char* name : {"o", "lse", "d_q", "d_k", "d_v"}) EXPECT_EQ(one.values(name), many.values(name));
      }
    }
  }
  set_num_threads(before);
}

// Keys and values of the first document change; the second must not notice.
TEST(Attention, DoesNotSeeOtherDocuments) {
  const Heads n{1, 1, 8, 8};
  const Ranges both = documents({40, 30});
  OpCase plain = attention_case(n, both), loud = attention_case(n, both);
  loud.forward([=](Stream& s, const Tensors& t) {
    for (const char* name : {"k", "v"}) {
      std::vector<double> values = values_of(t[name]);
      std::fill_n(values.begin(), 40 * 8, 100.0);
      set_values(t[name], values);
    }
    forward(s, t, both, n.scale());
  });
  for (const DeviceKind kind : {DeviceKind::reference, DeviceKind::cpu}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const auto a = plain.result(Device{kind}, dtype, "o"), b = loud.result(Device{kind}, dtype, "o");
      EXPECT_NE(a[0], b[0]);
      for (size_t i = 40 * 8; i < a.size(); ++i) EXPECT_EQ(a[i], b[i]) << i;
    }
  }
}

TEST(Attention, SurvivesLargeScores) {
  const Ranges one = documents({90});
  OpCase c = attention_case({1, 1, 16, 8}, one);
  c.forward([=](Stream& s, const Tensors& t) { forward(s, t, one, 100); });
  for (double o : c.result(Device{}, DType::f32, "o")) EXPECT_TRUE(std::isfinite(o));
}

TEST(Attention, RefusesStatisticsOfAnotherTypeOrShape) {
  Stream stream{};
  Arena arena(stream.device);
  const auto take = [&](DType dtype, const Shape& shape) { return arena.take(dtype, shape); };
  const Tensor q = take(DType::bf16, {8, 4, 6}), v = take(DType::bf16, {8, 4, 6}), o = take(DType::bf16, {8, 4, 6});
  const AttentionMask mask{.key_begin = take(DType::i32, {8}), .max_length = 8};
  fill_zero(stream, mask.key_begin);
  const auto attend = [&](const Tensor& lse) {
    attention_forward(stream, {.o = o, .lse = lse, .q = q, .k = q, .v = v, .mask = mask});
  };
  EXPECT_NO_THROW(attend(take(DType::f32, {8, 4})));
  EXPECT_THROW(attend(take(DType::bf16, {8, 4})), UserError);
  EXPECT_THROW(attend(take(DType::f64, {8, 4})), UserError);
  EXPECT_THROW(attend(take(DType::f32, {4, 8})), UserError);
}

TEST(Attention, CountsItsWorkOnTheMetaDevice) {
  struct Counter : OpObserver {
    double total = 0;
    void begin(std::string_view) override {}
    void end() override {}
    void flops(double count) override { total += count; }
  } counter;
  Stream stream{Device{DeviceKind::meta}, nullptr, &counter};
  const Tensor q{nullptr, DType::bf16, {8, 4, 6}}, k{nullptr, DType::bf16, {8, 2, 6}},
      v{nullptr, DType::bf16, {8, 2, 3}};
  const Tensor o{nullptr, DType::bf16, {8, 4, 3}}, lse{nullptr, DType::f32, {8, 4}}, start{nullptr, DType::i32, {8}};
  const AttentionMask mask{.key_begin = start, .max_length = 4};
  attention_forward(stream, {.o = o, .lse = lse, .q = q, .k = k, .v = v, .mask = mask});
  EXPECT_EQ(counter.total, 2.0 * 4 * (6 + 3) * 8 * (4 + 1) / 2);
  EXPECT_THROW(attention_forward(stream, {.o = o, .lse = lse, .q = q, .k = k, .v = k, .mask = mask}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
