#include "kernels/embedding/embedding.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "kernels/core/philox.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

std::vector<int64_t> ids(int64_t T, int64_t V) {
  std::vector<int64_t> out(static_cast<size_t>(T));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<int64_t>(Philox(1, 2).below(i, static_cast<uint64_t>(V)));
  return out;
}

class Embedding : public testing::TestWithParam<std::tuple<int64_t, int64_t, int64_t>> {};

TEST_P(Embedding, CpuEqualsReferenceAndGradientsMatchFiniteDifferences) {
  const auto [T, V, C] = GetParam();
  OpCase c;
  c.parameter("table", {V, C}).index("ids", ids(T, V)).output("y", {T, C});
  c.forward([](Stream& s, const Tensors& t) { embedding_forward(s, {t["y"], t["table"], t["ids"]}); });
  c.backward([](Stream& s, const Tensors& t) { embedding_backward(s, {t["d_table"], t["d_y"], t["ids"]}); });
  c.expect_cpu_equals_reference(T);
  c.expect_gradients({"table"}, {"y"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, Embedding,
                         testing::Values(std::tuple{0, 5, 3}, std::tuple{9, 1, 1}, std::tuple{101, 7, 67}));

TEST(Embedding, RefusesAnIdOutsideTheTable) {
  OpCase c;
  c.parameter("table", {4, 2}).index("ids", {4}).output("y", {1, 2});
  c.forward([](Stream& s, const Tensors& t) { embedding_forward(s, {t["y"], t["table"], t["ids"]}); });
  EXPECT_THROW(c.result(Device{}, DType::f32, "y"), BugError);
}

}  // namespace
}  // namespace birkhoff::test
