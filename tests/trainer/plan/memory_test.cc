#include "trainer/plan/memory.h"

#include <cstdlib>

#include <gmock/gmock.h>

#include "trainer/config/reader.h"
#include "trainer/plan/describe.h"

namespace birkhoff {
namespace {

using testing::HasSubstr;
using testing::Not;

Config config(std::vector<std::string> overrides = {}) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  overrides.push_back("model.vocab_size=400");
  return load_config(std::string(source ? source : ".") + "/configs/test.yaml", overrides).config;
}

MemoryPlan plan(const Config& c, int replicas = 1) { return plan_memory(c, {.dp = replicas}, 0, replicas); }

int64_t row(const MemoryPlan& plan, const std::string& name) {
  for (const auto& [row, bytes] : plan.bytes) {
    if (row == name) return bytes;
  }
  return 0;
}

TEST(MemoryPlan, OfOneReplicaEqualsTheModelDescription) {
  const Config c = config();
  const RankBytes b = describe_model(c).bytes;
  const MemoryPlan of_one = plan(c);
  EXPECT_EQ(row(of_one, "weights"), b.weights);
  EXPECT_EQ(row(of_one, "moments"), b.moments);
  EXPECT_EQ(row(of_one, "activations of a microbatch"), b.activations);
  EXPECT_EQ(row(of_one, "kernel scratch"), b.kernel_scratch);
  EXPECT_EQ(row(of_one, "checkpoint staging"), b.weights + b.moments + b.tables + b.table_moments);
  EXPECT_EQ(row(of_one, "communication buffers"), 0);
  // 12 sequences of 32 tokens; each token looks up 4 rows of width 8 in f32, and their gradients take the same again.
  EXPECT_EQ(row(of_one, "Engram rows of a step"), 2 * 12 * 32 * 4 * 8 * 4);
}

TEST(MemoryPlan, KernelScratchIsBothOperandsOfTheLargestWeightGradient) {
  // The head: 32 tokens, 400 vocabulary entries, 32 channels, in bf16.
  EXPECT_EQ(row(plan(config()), "kernel scratch"), 32 * (400 + 32) * 2);
  // Each token passes through 8 experts, whose up-projection has 64 columns.
  EXPECT_EQ(row(plan(config({"model.moe.top_k=8"})), "kernel scratch"), 8 * 32 * (64 + 32) * 2);
  EXPECT_EQ(row(plan(config({"run.device=reference"})), "kernel scratch"), 0);
}

TEST(MemoryPlan, ReplicasDivideMomentsAndTablesButNotWeights) {
  const MemoryPlan one = plan(config()), three = plan(config(), 3);
  EXPECT_EQ(row(three, "weights"), row(one, "weights"));
  // A rank owns whole cache lines of each bucket, and the last rank has fewer rows of a table.
  for (const char* name : {"moments", "Engram tables", "moments of tables"}) {
    EXPECT_NEAR(static_cast<double>(row(three, name)), static_cast<double>(row(one, name)) / 3,
                0.03 * static_cast<double>(row(one, name)))
        << name;
  }
  EXPECT_EQ(row(three, "Engram rows of a step"), row(one, "Engram rows of a step") / 3);
  EXPECT_GT(row(three, "communication buffers"), 0);
}

TEST(MemoryPlan, KnowsEveryOptimizerOfTables) {
  const Config c = config({"optimizer.engram.update=sparse_adamw"});
  EXPECT_EQ(row(plan(c), "moments of tables"), 2 * row(plan(config()), "moments of tables"));
}

TEST(MemoryPlan, FitsWhereAllRanksOfTheHostAndEachProcessDo) {
  MemoryPlan plan;
  plan.bytes = {{"weights", int64_t{3} << 20}, {"moments", int64_t{1} << 20}};
  plan.ranks_on_host = 2;
  EXPECT_EQ(plan.total(), int64_t{4} << 20);
  EXPECT_THAT(print(plan, {int64_t{8} << 20, "available"}),
              HasSubstr("2 ranks of this host: 8.0 of 8.0 available: fits"));
  EXPECT_THAT(print(plan, {(int64_t{8} << 20) - 1, "available"}), HasSubstr(": DOES NOT FIT"));
  EXPECT_THAT(print(plan, {int64_t{9} << 20, "available", int64_t{3} << 20}),
              HasSubstr("3.0 left to a process by ulimit -v: DOES NOT FIT"));
}

TEST(MemoryRoom, OfThisMachineIsKnown) {
  const MemoryRoom room = memory_room();
  EXPECT_GT(room.of_host, int64_t{1} << 20);
  EXPECT_LT(room.of_host, INT64_MAX);
  EXPECT_THAT(room.limited_by, Not(testing::IsEmpty()));
}

}  // namespace
}  // namespace birkhoff
