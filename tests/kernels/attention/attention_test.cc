#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include "kernels/attention/mla_heads.h"
#include "kernels/core/cpu/parallel.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

struct Sizes {
  int64_t T, H, G, D, Dv;
  std::vector<int64_t> documents;  // lengths, the last one repeated
};

std::vector<int64_t> starts(const Sizes& z) {
  std::vector<int64_t> start;
  for (size_t d = 0; static_cast<int64_t>(start.size()) < z.T; ++d) {
    const int64_t length = z.documents[std::min(d, z.documents.size() - 1)], first = static_cast<int64_t>(start.size());
    for (int64_t i = 0; i < length && static_cast<int64_t>(start.size()) < z.T; ++i) start.push_back(first);
  }
  return start;
}

OpCase attention_case(const Sizes& z) {
  OpCase c;
  c.activation("q", {z.T, z.H, z.D}).activation("k", {z.T, z.G, z.D}).activation("v", {z.T, z.G, z.Dv});
  c.index("start", starts(z)).output("o", {z.T, z.H, z.Dv}).statistic_output("lse", {z.T, z.H});
  const float scale = 0.3f;
  c.forward([=](Stream& s, const Tensors& t) {
    attention_forward(s, {t["o"], t["lse"], t["q"], t["k"], t["v"], t["start"], scale, z.T});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    attention_backward(
        s, {t["d_q"], t["d_k"], t["d_v"], t["d_o"], t["o"], t["lse"], t["q"], t["k"], t["v"], t["start"], scale, z.T});
  });
  return c;
}

class Attention : public testing::TestWithParam<Sizes> {};

// The bf16 run reads a rounded o for delta, so its gradients carry that error too.
TEST_P(Attention, CpuEqualsReference) {
  const Sizes& z = GetParam();
  attention_case(z).expect_cpu_equals_reference(z.T + z.D, 8);
}

TEST_P(Attention, ResultsDoNotDependOnTheNumberOfThreads) {
  const Sizes& z = GetParam();
  const int before = num_threads();
  for (const char* name : {"o", "d_q", "d_k", "d_v"}) {
    set_num_threads(1);
    const auto one = attention_case(z).result(Device{}, DType::f32, name);
    set_num_threads(3);
    EXPECT_EQ(one, attention_case(z).result(Device{}, DType::f32, name)) << name;
  }
  set_num_threads(before);
}

INSTANTIATE_TEST_SUITE_P(Cases, Attention,
                         testing::Values(Sizes{0, 2, 2, 4, 4, {1}}, Sizes{1, 1, 1, 1, 1, {1}},
                                         Sizes{7, 3, 3, 5, 9, {7}}, Sizes{200, 4, 2, 24, 16, {200}},
                                         Sizes{333, 2, 1, 19, 33, {3, 100, 1, 150, 90}},
                                         Sizes{260, 6, 6, 64, 64, {64}}));

TEST(Attention, BackwardMatchesFiniteDifferences) {
  for (const Sizes& z : {Sizes{5, 2, 2, 3, 4, {5}}, Sizes{9, 4, 2, 3, 2, {2, 4, 3}}}) {
    attention_case(z).expect_gradients({"q", "k", "v"}, {"o"});
  }
}

TEST(MlaHeads, CpuEqualsReferenceAndGradientsMatchFiniteDifferences) {
  for (int64_t T : {0, 1, 37}) {
    OpCase c;
    c.activation("kv", {T, 3, 5 + 4}).activation("k_rope", {T, 2}).output("k", {T, 3, 7}).output("v", {T, 3, 4});
    c.forward([](Stream& s, const Tensors& t) { mla_heads_forward(s, {t["k"], t["v"], t["kv"], t["k_rope"]}); });
    c.backward([](Stream& s, const Tensors& t) {
      mla_heads_backward(s, {t["d_kv"], t["d_k_rope"], t["d_k"], t["d_v"]});
    });
    c.expect_cpu_equals_reference(3);
    c.expect_gradients({"kv", "k_rope"}, {"k", "v"});
  }
}

}  // namespace
}  // namespace birkhoff::test
