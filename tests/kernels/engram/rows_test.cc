#include "kernels/engram/rows.h"

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase gather_case(int64_t T, int64_t K, int64_t U, int64_t D) {
  std::vector<int64_t> index(static_cast<size_t>(T * K));
  for (size_t i = 0; i < index.size(); ++i) index[i] = static_cast<int64_t>(i * i * 7 + i) % U;
  OpCase c;
  c.parameter("rows", {U, D}).index("index", index, DType::i32, {T, K}).output("e", {T, K * D});
  c.forward([](Stream& s, const Tensors& t) { engram_gather_forward(s, {t["e"], t["rows"], t["index"]}); });
  c.backward([](Stream& s, const Tensors& t) { engram_gather_backward(s, {t["d_rows"], t["d_e"], t["index"]}); });
  return c;
}

TEST(EngramGather, CpuEqualsReference) {
  gather_case(0, 4, 3, 8).expect_cpu_equals_reference(1);
  gather_case(5, 3, 1, 7).expect_cpu_equals_reference(15);
  gather_case(70, 6, 11, 9).expect_cpu_equals_reference(70);
}

TEST(EngramGather, BackwardMatchesFiniteDifferences) {
  gather_case(5, 3, 1, 7).expect_gradients({"rows"}, {"e"});
  gather_case(9, 6, 11, 5).expect_gradients({"rows"}, {"e"});
}

TEST(EngramGather, AddsInOneOrderWhateverTheNumberOfThreads) {
  const int threads = num_threads();
  set_num_threads(1);
  const auto one = gather_case(300, 6, 40, 128).result(Device{}, DType::bf16, "d_rows");
  set_num_threads(3);
  EXPECT_EQ(gather_case(300, 6, 40, 128).result(Device{}, DType::bf16, "d_rows"), one);
  set_num_threads(threads);
}

TEST(EngramGather, RefusesAnIndexOutOfRange) {
  for (DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    Arena arena{Device{kind}};
    Stream stream{Device{kind}, nullptr, nullptr};
    const Tensor rows = arena.take(DType::f32, {3, 2}), e = arena.take(DType::f32, {1, 2});
    const Tensor index = arena.take(DType::i32, {1, 1});
    set_values(index, {3});
    set_values(e, {0, 0});
    EXPECT_THROW(engram_gather_forward(stream, {e, rows, index}), BugError);
    EXPECT_THROW(engram_gather_backward(stream, {rows, e, index}), BugError);
    EXPECT_THROW(engram_gather_forward(stream, {rows, rows, index}), UserError);
  }
}

}  // namespace
}  // namespace birkhoff::test
