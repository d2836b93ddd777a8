// The program on the reference device, which computes with plain loops in f64.
#include <gmock/gmock.h>

#include "tests/e2e/training.h"

namespace birkhoff::test {
namespace {

constexpr const char* kShort =
    "--set run.steps=3 --set batch.global_batch_size=2 --set checkpoint.interval=0 --set eval.sequences=1 "
    "--set precision.recipe=f32";

TEST(Reference, TrainsToTheLossesOfTheCpuInF32) {
  const TempDir dir;
  const ProgramResult cpu = Training::shared().train(1, dir / "cpu", kShort);
  ASSERT_EQ(cpu.exit_code, 0) << cpu.output;
  const ProgramResult reference =
      Training::shared().train(1, dir / "reference", std::string(kShort) + " --set run.device=reference");
  ASSERT_EQ(reference.exit_code, 0) << reference.output;
  const std::vector<double> expected = losses(reference.output), actual = losses(cpu.output);
  ASSERT_EQ(expected.size(), 3u) << reference.output;
  ASSERT_EQ(actual.size(), 3u) << cpu.output;
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(actual[i], expected[i], 1e-4 * expected[i]) << i;
  EXPECT_NE(expected[2], expected[0]);
}

}  // namespace
}  // namespace birkhoff::test
