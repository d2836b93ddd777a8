// What a tensor-parallel group does with batches at the edge of what may occur, with values that are not finite, and
// with batches that differ between its ranks.
#include <limits>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/run_ranks.h"
#include "parallel/mesh/layout.h"
#include "tests/trainer/support/tiny_run.h"

namespace birkhoff::test {
namespace {

using testing::IsEmpty;

// More ranks than a sequence has tokens, and a convolution that looks back over the runs of several ranks.
TEST(TensorParallelRuns, MayBeShorterThanTheHalo) {
  TinyRun one;
  one.model.decoder.attention.num_heads = 4;
  one.model.decoder.engram.conv_dilation = 5;
  const TinyOutcome expected = train(one);
  TinyRun four = one;
  four.degrees.tp = four.ranks = 4;
  expect_near(train(four), expected, 1e-11);
}

// Batches and choices at the edge of what may occur.
struct Edge {
  std::string name;
  TinyRun run;
};
void PrintTo(const Edge& edge, std::ostream* out) { *out << edge.name; }

// One token and one row of a table everywhere: a row gets the gradients of all tokens.
void make_all_equal(StepBatch& step, const Mesh&) {
  for (Batch& b : step.microbatches) {
    std::fill(b.tokens.begin(), b.tokens.end(), 3);
    for (auto& rows : b.engram_index) std::fill(rows.begin(), rows.end(), 0);
  }
  for (auto& rows : step.engram_rows) rows = {5};
}

// The second replica has no sequences, so that its ranks bring no tokens and no rows to any exchange.
void empty_second_replica(StepBatch& step, const Mesh& mesh) {
  if (mesh.coordinate(Axis::dp) == 1) remove_sequences(step);
}

// As many experts as a token has get every token, and the others none.
void prefer_the_first_experts(Stream& stream, Model& model) {
  const int64_t chosen = full_options().decoder.moe.top_k;
  for (const ParameterStore::Router& router : model.parameters->routers()) {
    std::vector<double> bias(static_cast<size_t>(router.bias->shape.count()), 0);
    std::fill_n(bias.begin(), chosen, 100);
    write_values(stream, router.bias->value, bias);
  }
}

class TensorParallelEdge : public testing::TestWithParam<Edge> {};
INSTANTIATE_TEST_SUITE_P(Cases, TensorParallelEdge,
                         testing::Values(Edge{"all_tokens_equal", {.change = make_all_equal}},
                                         Edge{"sequences_shorter_than_an_ngram", {.length = 2}},
                                         Edge{"one_token", {.length = 1}},
                                         Edge{"no_tokens_for_most_experts", {.prepare = prefer_the_first_experts}}),
                         [](const auto& info) { return info.param.name; });

TEST_P(TensorParallelEdge, EqualsOneRankOnTheReference) {
  const TinyRun& one = GetParam().run;
  const TinyOutcome expected = train(one);
  EXPECT_TRUE(!one.prepare || expected.reports[0].dead_experts > 0);
  // With divided experts, a rank or a group of ranks has no tokens, or all tokens go to one.
  for (const MeshDegrees& degrees : {MeshDegrees{.tp = 2}, MeshDegrees{.tp = 2, .ep = 2},
                                     MeshDegrees{.tp = 2, .ep = 2, .dispatch = Dispatch::grouped}}) {
    SCOPED_TRACE(layout_name(degrees));
    TinyRun four = one;
    four.degrees = degrees;
    four.ranks = 4;
    expect_near(train(four), expected, 1e-11);
  }
}

// The same with and without tp; trainer/step/replicas compares replicas without sequences with one rank.
TEST(TensorParallelReplica, WithoutSequencesAddsNothing) {
  TinyRun four{.degrees = {.tp = 2}, .ranks = 4, .change = empty_second_replica}, two = four;
  two.degrees.dp = two.ranks = 2;
  two.degrees.tp = 1;
  const TinyOutcome actual = train(four), expected = train(two);
  EXPECT_GT(actual.reports[0].loss, 0);
  expect_near(actual, expected, 1e-11);
}

Whole state_of(TinyRank& r, Communicator& world) {
  PartCollector parts(r.stream);
  r.trainer.state(parts);
  return assemble(world, std::move(parts.parts));
}

// One rank has a weight that is not finite: all ranks take the same decision, name the tensor and the rank, and change
// nothing but the count of steps.
struct BadWeight {
  MeshDegrees degrees;
  int ranks;
  std::string weight, where;  // with ep2, rank 1 has experts 3 to 5
};
void PrintTo(const BadWeight& bad, std::ostream* out) { *out << bad.weight << " at " << layout_name(bad.degrees); }

class OneBadWeight : public testing::TestWithParam<BadWeight> {};
constexpr const char* kDown = "layers.0.ffn.down.weight";
constexpr const char* kExperts = "layers.1.ffn.experts.up";
INSTANTIATE_TEST_SUITE_P(Layouts, OneBadWeight,
                         testing::Values(BadWeight{{.tp = 2}, 2, kDown, " on rank 1 (tp 1)"},
                                         BadWeight{{.tp = 2}, 4, kDown, " on rank 1 (tp 1, dp 0)"},
                                         BadWeight{
                                             {.tp = 2, .ep = 2}, 2, kExperts, ", expert 3 on rank 1 (tp 1, ep 1)"},
                                         BadWeight{{.tp = 2, .ep = 2, .dispatch = Dispatch::grouped},
                                                   4,
                                                   kExperts,
                                                   ", expert 3 on rank 1 (tp 1, dp 0, ep 1)"}));

TEST_P(OneBadWeight, IsOneDecisionOfAllRanksThatNamesIt) {
  const BadWeight& bad = GetParam();
  const int ranks = bad.ranks;
  const TinyRun setup{.degrees = bad.degrees, .ranks = ranks};
  std::vector<StepReport> reports(static_cast<size_t>(ranks));
  run_ranks(ranks, [&](Communicator& world) {
    TinyRank r(world, setup);
    for (const auto& e : r.model.parameters->entries()) {
      if (e.parameter->name != bad.weight || world.rank() != 1) continue;
      std::vector<double> values = read_values(r.stream, e.parameter->value);
      values[3] = std::numeric_limits<double>::quiet_NaN();
      write_values(r.stream, e.parameter->value, values);
    }
    r.model.parameters->values_changed();
    const Whole before = state_of(r, world);
    reports[static_cast<size_t>(world.rank())] = r.trainer.step(r.batch(setup, 0), 0.01);
    EXPECT_THAT(bitwise_differences(state_of(r, world), before), IsEmpty());
    EXPECT_EQ(r.trainer.steps_done(), 1);
  });
  for (const StepReport& report : reports) {
    EXPECT_EQ(report.skip_reason, SkipReason::nonfinite);
    EXPECT_TRUE(report.skipped);
    EXPECT_EQ(report.first_nonfinite, concat("the value of ", bad.weight, bad.where));
  }
}

TEST(TensorParallelBatches, ThatDifferBetweenRanksEndTheStep) {
  TinyRun setup{.degrees = {.tp = 2}, .ranks = 2};
  const auto step = [&] {
    run_ranks(2, [&](Communicator& world) {
      TinyRank r(world, setup);
      StepBatch batch = r.batch(setup, 0);
      if (world.rank() == 1) batch.microbatches[0].tokens[5] ^= 1;
      r.trainer.step(batch, 0.01);
    });
  };
  EXPECT_THROW(step(), CommError);
}

}  // namespace
}  // namespace birkhoff::test
