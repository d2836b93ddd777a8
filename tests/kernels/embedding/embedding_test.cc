#include "kernels/embedding/embedding.h"

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase embedding_case(std::vector<int64_t> ids, int64_t V, int64_t C) {
  const auto T = static_cast<int64_t>(ids.size());
  OpCase c;
  c.parameter("table", {V, C}).index("ids", std::move(ids), DType::i32, {T}).output("y", {T, C});
  c.forward([](Stream& s, const Tensors& t) { embedding_forward(s, {t["y"], t["table"], t["ids"]}); });
  c.backward([](Stream& s, const Tensors& t) { embedding_backward(s, {t["d_table"], t["d_y"], t["ids"]}); });
  return c;
}

std::vector<int64_t> some_ids(int64_t T, int64_t V) {
  std::vector<int64_t> ids;
  for (int64_t t = 0; t < T; ++t) ids.push_back(t * t % V);
  return ids;
}

TEST(Embedding, CpuEqualsReference) {
  embedding_case({}, 4, 8).expect_cpu_equals_reference(1);
  embedding_case({0}, 1, 1).expect_cpu_equals_reference(1);
  embedding_case({3, 0, 3}, 5, 7).expect_cpu_equals_reference(3);
  embedding_case(some_ids(300, 11), 11, 130).expect_cpu_equals_reference(300);
}

TEST(Embedding, BackwardMatchesFiniteDifferences) {
  embedding_case({3, 0, 3, 1}, 5, 7).expect_gradients({"table"}, {"y"});
}

TEST(Embedding, GradientDoesNotDependOnTheNumberOfThreads) {
  const OpCase c = embedding_case(some_ids(300, 11), 11, 300);
  const int before = num_threads();
  set_num_threads(1);
  const auto one = c.result(Device{}, DType::bf16, "d_table");
  set_num_threads(3);
  EXPECT_EQ(one, c.result(Device{}, DType::bf16, "d_table"));
  set_num_threads(before);
}

TEST(Embedding, RefusesIdsOutsideTheTable) {
  for (int64_t id : {-1, 5}) {
    EXPECT_THROW(embedding_case({0, id}, 5, 2).result(Device{}, DType::f32, "y"), UserError);
    EXPECT_THROW(embedding_case({0, id}, 5, 2).result(Device{DeviceKind::reference}, DType::f32, "y"), UserError);
  }
}

}  // namespace
}  // namespace birkhoff::test
