#include "trainer/bench/subject.h"

#include <cstdlib>
#include <mutex>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/threads/run_ranks.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

Config config(std::vector<std::string> overrides) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  overrides.push_back("model.vocab_size=400");
  return load_config(std::string(source ? source : ".") + "/configs/test.yaml", overrides).config;
}

std::vector<int32_t> tokens_of(const StepBatch& step) {
  std::vector<int32_t> tokens;
  for (const Batch& b : step.microbatches) tokens.insert(tokens.end(), b.tokens.begin(), b.tokens.end());
  return tokens;
}

// The tokens of the second step over all replicas, in their order, of ranks that must all be as `check` says.
std::vector<int32_t> global_batch(int ranks, const std::vector<std::string>& layout,
                                  const std::function<void(Subject&)>& check) {
  std::map<int, std::vector<int32_t>> by_replica;
  std::mutex mutex;
  run_ranks(ranks, [&](Communicator& world) {
    Subject subject(world, config(layout), Device{DeviceKind::meta});
    const std::vector<int32_t> first = tokens_of(subject.make_batch()), second = tokens_of(subject.make_batch());
    const std::lock_guard lock(mutex);
    check(subject);
    EXPECT_NE(first, second);
    EXPECT_EQ(std::ssize(second), subject.tokens());
    std::vector<int32_t>& of_replica = by_replica[subject.mesh().coordinate(Axis::dp)];
    EXPECT_TRUE(of_replica.empty() || of_replica == second) << "ranks of one replica differ";
    of_replica = second;
  });
  std::vector<int32_t> all;
  for (const auto& [replica, tokens] : by_replica) all.insert(all.end(), tokens.begin(), tokens.end());
  return all;
}

TEST(Subject, HasTheSameGlobalBatchInEveryLayout) {
  const std::vector<int32_t> alone = global_batch(1, {}, [](Subject&) {});
  EXPECT_EQ(alone.size(), 12u * 32);
  EXPECT_EQ(global_batch(2, {}, [](Subject& s) { EXPECT_EQ(s.mesh().describe(), "dp2"); }), alone);
  EXPECT_EQ(global_batch(2, {"parallel.tp=2"}, [](Subject& s) { EXPECT_EQ(s.mesh().describe(), "tp2"); }), alone);
  EXPECT_EQ(global_batch(4, {"parallel.tp=2", "parallel.ep=2"},
                         [](Subject& s) { EXPECT_EQ(s.mesh().describe(), "tp2.dp2.ep2"); }),
            alone);
}

TEST(Subject, TrainsInTheLayoutOfTheConfig) {
  run_ranks(2, [](Communicator& world) {
    Subject divided(world, config({"parallel.tp=2"}), Device{}), whole(world, config({}), Device{});
    divided.step();
    whole.step();
    const auto values = [](Subject& s) {
      int64_t held = 0;
      for (const ParameterStore::Entry& e : s.model().parameters->entries()) held += e.parameter->value.count();
      return held;
    };
    EXPECT_LT(values(divided), values(whole));
  });
}

TEST(Subject, RefusesALayoutThatTheRanksCannotHave) {
  run_ranks(2, [](Communicator& world) {
    EXPECT_THROW(Subject(world, config({"parallel.tp=4"}), Device{}), UserError);
    EXPECT_THROW(Subject(world, config({"batch.global_batch_size=3"}), Device{}), UserError);
  });
}

}  // namespace
}  // namespace birkhoff
