// A step whose features, vocabulary and tokens a tensor-parallel group divides equals the step of one rank. The lengths
// of the sequences are odd, so that padding is part of every test, and the documents are packed.
#include <map>

#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"
#include "tests/trainer/support/tiny_run.h"

namespace birkhoff::test {
namespace {

using testing::IsEmpty;

// The variants whose heads two ranks can divide.
std::vector<Variant> divisible() {
  std::vector<Variant> all = variants();
  std::erase_if(all, [](const Variant& v) { return v.options.decoder.attention.num_kv_heads == 1; });
  return all;
}

class TensorParallel : public testing::TestWithParam<Variant> {};

TEST_P(TensorParallel, EqualsOneRankOnTheReference) {
  const TinyRun one{.model = GetParam().options};
  const TinyOutcome expected = train(one);
  TinyRun two = one;
  two.degrees.tp = two.ranks = 2;
  const TinyOutcome actual = train(two);
  expect_near(actual, expected, 1e-11);
  for (size_t s = 0; s < expected.nats.size(); ++s) {
    EXPECT_NEAR(actual.nats[s], expected.nats[s], 1e-11 * expected.nats[s]) << "evaluation before step " << s;
  }
}

TEST_P(TensorParallel, WithReplicasEqualsOneRankOnTheReference) {
  const TinyRun one{.model = GetParam().options};
  TinyRun four = one;
  four.degrees.tp = 2;
  four.ranks = 4;
  // The largest gain of a step is that of the same microbatches, since two replicas divide four sequences evenly.
  expect_near(train(four), train(one), 1e-11);
}

INSTANTIATE_TEST_SUITE_P(Variants, TensorParallel, testing::ValuesIn(divisible()),
                         [](const auto& info) { return info.param.name; });

// A replay makes the same exchanges with the same numbers, so recomputation changes no bit.
TEST(TensorParallelRecomputation, IsBitwiseNone) {
  for (const int replicas : {1, 2}) {
    TinyRun setup{.device = DeviceKind::cpu, .degrees = {.tp = 2, .ep = replicas}, .ranks = 2 * replicas};
    const TinyOutcome none = train(setup);
    for (const Recompute recompute : {Recompute::block, Recompute::streams}) {
      setup.model.decoder.recompute = recompute;
      const TinyOutcome other = train(setup);
      EXPECT_THAT(bitwise_differences(other.state, none.state), IsEmpty());
      for (size_t s = 0; s < none.reports.size(); ++s) {
        EXPECT_EQ(other.reports[s].loss, none.reports[s].loss);
        EXPECT_EQ(other.reports[s].expert_load_max, none.reports[s].expert_load_max) << "loads are counted once";
      }
    }
  }
}

// The number of rows of every value that a module shows.
class RowCounter final : public Instrument {
 public:
  bool wants_values() const override { return true; }
  void show(const std::string& what, Tensor value) override {
    if (value.shape.rank() > 1) rows[what] = value.shape[0];
  }
  std::map<std::string, int64_t> rows;
};

// Sequence parallelism: outside of the layers that divide their features, an op sees T / tp tokens.
TEST(TensorParallelTokens, AreComputedOnceOutsideOfDividedLayers) {
  const int64_t tokens = 2 * 12;  // of a microbatch, padded
  std::map<std::string, int64_t> whole;
  for (const int tp : {1, 2, 4}) {
    TinyRun setup{.degrees = {.tp = tp}, .ranks = tp};
    setup.model.decoder.attention.num_heads = 4;
    std::vector<std::map<std::string, int64_t>> rows(static_cast<size_t>(tp));
    run_ranks(tp, [&](Communicator& world) {
      TinyRank r(world, setup);
      RowCounter counter;
      r.trainer.measure_gain(false);
      r.trainer.set_instrument(&counter);
      TinyStep share{1, 2, 12, 2};
      r.trainer.step(tiny_batch(setup.model, share), 0.01);
      rows[static_cast<size_t>(world.rank())] = counter.rows;
    });
    if (tp == 1) whole = rows[0];
    for (const char* what : {"the output of embedding", "the mixing coefficients of layers.0.attention",
                             "the output of layers.0.attention.norm", "the output of layers.0.attention",
                             "the router logits of layers.1.ffn", "the output of layers.1.engram",
                             "the output of the shared experts of layers.1.ffn", "the input of the head of depth 1"}) {
      ASSERT_TRUE(whole.contains(what)) << what;
      EXPECT_EQ(whole.at(what), tokens) << what;
      for (const auto& of_rank : rows) EXPECT_EQ(of_rank.at(what), tokens / tp) << what;
    }
  }
}

}  // namespace
}  // namespace birkhoff::test
