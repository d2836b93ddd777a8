#include "kernels/embedding/embedding.h"

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

// A table with V rows, which are those from `first` of a larger vocabulary, or the whole one if `vocabulary` is 0.
OpCase embedding_case(std::vector<int64_t> ids, int64_t V, int64_t C, int64_t first = 0, int64_t vocabulary = 0) {
  const auto T = static_cast<int64_t>(ids.size());
  OpCase c;
  // The values are those of the whole table.
  const Fill whole = normal(1);
  c.parameter("table", {V, C}, [=](int64_t i) { return whole(first * C + i); });
  c.index("ids", std::move(ids), DType::i32, {T}).output("y", {T, C});
  c.forward([=](Stream& s, const Tensors& t) {
    set_values(t["y"], std::vector<double>(static_cast<size_t>(t["y"].count()), 7));
    embedding_forward(s, {t["y"], t["table"], t["ids"], first, vocabulary});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    embedding_backward(s, {t["d_table"], t["d_y"], t["ids"], first, vocabulary});
  });
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
  embedding_case({}, 2, 8, 1, 4).expect_cpu_equals_reference(1);
  embedding_case({3, 0, 3}, 0, 7, 2, 5).expect_cpu_equals_reference(1);
  embedding_case(some_ids(300, 11), 3, 130, 4, 11).expect_cpu_equals_reference(300);
}

TEST(Embedding, BackwardMatchesFiniteDifferences) {
  embedding_case({3, 0, 3, 1}, 5, 7).expect_gradients({"table"}, {"y"});
  embedding_case({3, 0, 3, 1, 2}, 2, 7, 1, 5).expect_gradients({"table"}, {"y"});
}

// Eleven rows in parts of 4, 0, 1 and 6.
TEST(Embedding, OfThePartsOfATableAddsUpToThatOfTheWhole) {
  const std::vector<int64_t> ids = some_ids(30, 11), begins = {0, 4, 4, 5, 11};
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    const auto result = [&](int64_t first, int64_t V, const char* name) {
      return embedding_case(ids, V, 6, first, 11).result(Device{kind}, DType::f32, name);
    };
    std::vector<double> y(30 * 6, 0.0), dtable;
    for (size_t p = 0; p + 1 < begins.size(); ++p) {
      const int64_t V = begins[p + 1] - begins[p];
      const auto part = result(begins[p], V, "y"), gradient = result(begins[p], V, "d_table");
      for (size_t i = 0; i < y.size(); ++i) y[i] += part[i];
      dtable.insert(dtable.end(), gradient.begin(), gradient.end());
    }
    // Only one part adds a number other than zero to an element, so the sums are exact.
    EXPECT_EQ(y, result(0, 11, "y")) << name_of(kind);
    EXPECT_EQ(dtable, result(0, 11, "d_table")) << name_of(kind);
  }
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
    EXPECT_THROW(embedding_case({0, id}, 2, 2, 1, 5).result(Device{}, DType::f32, "y"), UserError);
  }
}

TEST(Embedding, RefusesRowsOutsideTheVocabulary) {
  EXPECT_THROW(embedding_case({0}, 3, 2, 3, 5).result(Device{}, DType::f32, "y"), UserError);
  EXPECT_THROW(embedding_case({0}, 3, 2, -1, 5).result(Device{}, DType::f32, "y"), UserError);
  EXPECT_THROW(embedding_case({0}, 3, 2, 1).result(Device{}, DType::f32, "y"), UserError) << "0 stands for three rows";
}

}  // namespace
}  // namespace birkhoff::test
