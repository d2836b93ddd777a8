#include "kernels/elementwise/split_columns.h"

#include <gtest/gtest.h>

#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

TEST(SplitColumns, CpuEqualsReferenceAndJoinIsItsGradient) {
  for (int64_t T : {0, 1, 45}) {
    OpCase c;
    c.activation("whole", {T, 8}).output("left", {T, 5}).output("right", {T, 3});
    c.forward([](Stream& s, const Tensors& t) { split_columns(s, {t["whole"], t["left"], t["right"]}); });
    c.backward([](Stream& s, const Tensors& t) { join_columns(s, {t["d_whole"], t["d_left"], t["d_right"]}); });
    c.expect_cpu_equals_reference(1);
    c.expect_gradients({"whole"}, {"left", "right"});
  }
}

}  // namespace
}  // namespace birkhoff::test
