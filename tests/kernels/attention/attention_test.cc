#include "kernels/attention/attention.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

struct Sizes {
  int64_t H, Hkv, Dqk, Dv;
  std::vector<int64_t> lengths;  // of the documents
};

int64_t tokens(const Sizes& n) {
  int64_t T = 0;
  for (int64_t length : n.lengths) T += length;
  return T;
}

OpCase attention_case(const Sizes& n) {
  const int64_t T = tokens(n);
  std::vector<int64_t> start;
  for (int64_t length : n.lengths)
    start.insert(start.end(), static_cast<size_t>(length), static_cast<int64_t>(start.size()));
  const float scale = 1 / std::sqrt(static_cast<float>(n.Dqk));
  OpCase c;
  c.activation("q", {T, n.H, n.Dqk}).activation("k", {T, n.Hkv, n.Dqk}).activation("v", {T, n.Hkv, n.Dv});
  c.index("start", start, DType::i32, {T}).output("o", {T, n.H, n.Dv}).statistic_output("lse", {T, n.H});
  c.forward([=](Stream& s, const Tensors& t) {
    attention_forward(s, {t["o"], t["lse"], t["q"], t["k"], t["v"], t["start"], scale, 0});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    attention_backward(
        s, {t["d_q"], t["d_k"], t["d_v"], t["d_o"], t["q"], t["k"], t["v"], t["o"], t["lse"], t["start"], scale, 0});
  });
  return c;
}

class Attention : public testing::TestWithParam<Sizes> {};

TEST_P(Attention, CpuEqualsReference) {
  const Sizes n = GetParam();
  // delta is taken from o as rounded to the dtype: its error is carried by every probability of the row.
  attention_case(n).expect_cpu_equals_reference(tokens(n) + n.Dqk, 10);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Attention,
                         testing::Values(Sizes{2, 1, 8, 4, {}}, Sizes{1, 1, 1, 1, {1}}, Sizes{3, 3, 7, 5, {3, 1, 9}},
                                         Sizes{4, 2, 16, 16, {64, 64}}, Sizes{2, 2, 24, 40, {65, 130}},
                                         Sizes{6, 1, 64, 64, {100, 301, 17}}, Sizes{2, 2, 192, 128, {70, 1, 1, 90}},
                                         Sizes{1, 1, 64, 64, {600}}));

TEST(Attention, BackwardMatchesFiniteDifferences) {
  for (const Sizes& n : {Sizes{2, 2, 3, 5, {4, 1, 6}}, Sizes{4, 2, 4, 2, {7}}, Sizes{3, 1, 2, 3, {2, 5}}}) {
    attention_case(n).expect_gradients({"q", "k", "v"}, {"o"});
  }
}

TEST(Attention, DoesNotDependOnTheNumberOfThreads) {
  const OpCase c = attention_case({4, 2, 16, 8, {300, 280, 20}});
  const int before = num_threads();
  for (const char* name : {"o", "lse", "d_q", "d_k", "d_v"}) {
    set_num_threads(1);
    const auto one = c.result(Device{}, DType::bf16, name);
    set_num_threads(3);
    EXPECT_EQ(one, c.result(Device{}, DType::bf16, name)) << name;
  }
  set_num_threads(before);
}

// Keys and values of the first document change; the second must not notice.
TEST(Attention, DoesNotSeeOtherDocuments) {
  const Sizes both{1, 1, 8, 8, {40, 30}};
  OpCase plain = attention_case(both), loud = attention_case(both);
  loud.forward([](Stream& s, const Tensors& t) {
    for (int64_t i = 0; i < 40 * 8; ++i) t["k"].as<double>()[i] = t["v"].as<double>()[i] = 100;
    attention_forward(s, {t["o"], t["lse"], t["q"], t["k"], t["v"], t["start"], 0.5f, 0});
  });
  plain.forward([](Stream& s, const Tensors& t) {
    attention_forward(s, {t["o"], t["lse"], t["q"], t["k"], t["v"], t["start"], 0.5f, 0});
  });
  const Device reference{DeviceKind::reference};
  const auto a = plain.result(reference, DType::f32, "o"), b = loud.result(reference, DType::f32, "o");
  EXPECT_NE(a[0], b[0]);
  for (size_t i = 40 * 8; i < a.size(); ++i) EXPECT_EQ(a[i], b[i]);
}

TEST(Attention, SurvivesLargeScores) {
  OpCase c = attention_case({1, 1, 16, 8, {90}});
  c.forward([](Stream& s, const Tensors& t) {
    attention_forward(s, {t["o"], t["lse"], t["q"], t["k"], t["v"], t["start"], 100.0f, 0});
  });
  for (double o : c.result(Device{}, DType::f32, "o")) EXPECT_TRUE(std::isfinite(o));
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
  attention_forward(stream, {o, lse, q, k, v, start, 1, 4});
  EXPECT_EQ(counter.total, 2.0 * 4 * (6 + 3) * 8 * (4 + 1) / 2);
  EXPECT_THROW(attention_forward(stream, {o, lse, q, k, k, start, 1, 4}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
