#include "kernels/moe/bias_update.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

TEST(RouterBiasUpdate, MovesEveryBiasTowardTheMeanLoad) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    for (const DType dtype : {DType::i64, DType::f32}) {
      Arena arena{Device{kind}};
      Stream stream{Device{kind}};
      const Tensor bias = arena.take(DType::f32, {3}), load = arena.take(dtype, {3});
      set_values(bias, {0.5, 0, -1});
      set_values(load, {4, 2, 3});
      router_bias_update(stream, {bias, load, 0.25f});
      EXPECT_EQ(values_of(bias), (std::vector<double>{0.25, 0.25, -1}));
    }
  }
}

TEST(RouterBiasUpdate, SeesADifferenceOfOneInLargeLoads) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor bias = arena.take(DType::f32, {2}), load = arena.take(DType::i64, {2});
  set_values(bias, {0, 0});
  load.as<int64_t>()[0] = (int64_t{1} << 54) + 1;
  load.as<int64_t>()[1] = int64_t{1} << 54;
  router_bias_update(stream, {bias, load, 1.f});
  EXPECT_EQ(values_of(bias), (std::vector<double>{-1, 1}));
}

TEST(RouterBiasUpdate, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  EXPECT_THROW(router_bias_update(stream, {arena.take(DType::f32, {2}), arena.take(DType::i64, {3})}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
