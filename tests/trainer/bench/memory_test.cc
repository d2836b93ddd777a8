#include "trainer/bench/memory.h"

#include <cstdlib>
#include <cstring>

#include <gmock/gmock.h>
#include <sys/mman.h>

#include "kernels/core/cpu/parallel.h"
#include "tests/support/run_ranks.h"
#include "trainer/bench/op_class.h"
#include "trainer/bench/profiler.h"
#include "trainer/bench/subject.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

Config tiny() {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  return load_config(std::string(source ? source : ".") + "/configs/test.yaml", {"model.vocab_size=400"}).config;
}

TEST(ResidentMemory, SeesWhatAProcessTouches) {
  const auto before = resident_memory();
  if (!before) GTEST_SKIP() << "there is no /proc/self/status";
  constexpr size_t kBytes = size_t{64} << 20;
  void* block = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  std::memset(block, 1, kBytes);
  munmap(block, kBytes);
  const auto after = resident_memory();
  EXPECT_GE(after->peak, before->now + 0.9 * kBytes);
  if (!reset_resident_peak()) GTEST_SKIP() << "the peak cannot be reset here";
  EXPECT_LT(resident_memory()->peak, after->peak - 0.9 * kBytes);
}

// Arenas on the meta device count what arenas on the cpu hand out.
TEST(Memory, OfEachClassIsPredictedToTheByte) {
  run_ranks(1, [](Communicator& alone) {
    const MemoryUse use = measure_memory(alone, tiny());
    double sum = 0;
    for (const MemoryClass& c : use.classes) {
      EXPECT_EQ(c.predicted, c.counted) << c.name;
      sum += c.predicted;
    }
    EXPECT_EQ(use.predicted, sum);
  });
}

TEST(OpClass, IsKnownForEveryOpOfAStepWithEveryPart) {
  run_ranks(1, [](Communicator& alone) {
    for (const OptimizerType optimizer : {OptimizerType::adamw, OptimizerType::muon}) {
      for (const ResidualType residual : {ResidualType::hc, ResidualType::mhc, ResidualType::mhc_single_pass}) {
        Config c = tiny();
        c.optimizer.type = optimizer;
        c.model.residual.type = residual;
        Profiler ops;
        Subject(alone, c, Device{DeviceKind::meta}, &ops).step();
        EXPECT_GT(ops.rows().size(), 30u);
        for (const auto& [op, row] : ops.rows()) EXPECT_NE(op_class(op), "other") << op;
      }
    }
  });
}

}  // namespace
}  // namespace birkhoff
