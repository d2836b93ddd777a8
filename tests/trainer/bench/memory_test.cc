#include "trainer/bench/memory.h"

#include <cstdlib>

#include <gmock/gmock.h>

#include "kernels/core/cpu/parallel.h"
#include "parallel/comm/threads/run_ranks.h"
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

// Arenas on the meta device must count exactly the bytes that arenas on the cpu hand out.
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
