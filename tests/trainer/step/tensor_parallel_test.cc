// A step whose features, vocabulary and tokens a tensor-parallel group divides equals the step of one rank. The lengths
// of the sequences are odd, so that padding is part of every test, and the documents are packed.
#include <map>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/run_ranks.h"
#include "parallel/mesh/layout.h"
#include "tests/support/op_case.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/proof/whole.h"
#include "trainer/step/trainer.h"

namespace birkhoff::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kSequences = 4, kLength = 11;

// The variants whose heads two ranks can divide.
std::vector<Variant> divisible() {
  std::vector<Variant> all = variants();
  std::erase_if(all, [](const Variant& v) { return v.options.decoder.attention.num_kv_heads == 1; });
  return all;
}

struct TinyRun {
  ModelOptions model = full_options();
  DeviceKind device = DeviceKind::reference;
  MeshDegrees degrees = {};
  int ranks = 1, steps = 3;
  int64_t length = kLength;
  std::function<void(Stream&, Model&)> prepare = {};         // once, before the steps
  std::function<void(StepBatch&, const Mesh&)> change = {};  // every batch
};

TrainerOptions trainer_options() {
  TrainerOptions o;
  o.optimizer.adamw.eps = 1e-3;  // gradients that are only rounding must not become full updates
  o.optimizer.engram.update = TableUpdate::sparse_adamw;
  return o;
}

// A rank with its part of the model.
struct Rank {
  Rank(Communicator& world, const TinyRun& setup)
      : mesh(world, setup.degrees),
        stream{Device{setup.device}},
        model(make_model(stream.device, mesh, setup.model)),
        trainer(stream, mesh, model, trainer_options()) {
    set_trained_values(stream, model, 1);
    if (setup.prepare) setup.prepare(stream, model);
    trainer.measure_gain(setup.model.decoder.residual.num_streams() > 1);
  }
  StepBatch batch(const TinyRun& setup, int step) const {
    TinyStep share{static_cast<uint64_t>(1 + step % 2), kSequences, setup.length, 2};
    share.rank = mesh.coordinate(Axis::dp);
    share.ranks = mesh.degree(Axis::dp);
    StepBatch batch = tiny_batch(setup.model, share);
    if (setup.change) setup.change(batch, mesh);
    return batch;
  }
  Mesh mesh;
  Stream stream;
  Model model;
  Trainer trainer;
};

struct Outcome {
  std::vector<StepReport> reports;
  std::vector<double> nats;  // of an evaluation before each step
  Whole state;
};

// Runs the steps on all ranks, which must all report the same.
Outcome train(const TinyRun& setup) {
  std::vector<Outcome> outcomes(static_cast<size_t>(setup.ranks));
  run_ranks(setup.ranks, [&](Communicator& world) {
    Rank r(world, setup);
    Outcome& mine = outcomes[static_cast<size_t>(world.rank())];
    for (int step = 0; step < setup.steps; ++step) {
      mine.nats.push_back(r.trainer.evaluate(r.batch(setup, step + 1)).nats);
      mine.reports.push_back(r.trainer.step(r.batch(setup, step), 0.01));
    }
    PartCollector parts(r.stream);
    r.trainer.state(parts);
    mine.state = assemble(world, parts.parts);
  });
  for (const Outcome& other : outcomes) {
    for (size_t s = 0; s < other.reports.size(); ++s) {
      EXPECT_EQ(other.reports[s].loss, outcomes[0].reports[s].loss);
      EXPECT_EQ(other.reports[s].grad_norm, outcomes[0].reports[s].grad_norm);
      EXPECT_EQ(other.reports[s].gain, outcomes[0].reports[s].gain);
    }
  }
  EXPECT_THAT(outcomes[0].state.faults, IsEmpty());
  return outcomes[0];
}

void expect_near(const Outcome& actual, const Outcome& one, double bound) {
  for (size_t s = 0; s < one.reports.size(); ++s) {
    const StepReport &a = actual.reports[s], &e = one.reports[s];
    EXPECT_EQ(a.skip_reason, SkipReason::none) << a.first_nonfinite;
    EXPECT_NEAR(a.loss, e.loss, bound * e.loss) << "step " << s;
    EXPECT_NEAR(a.balance_loss, e.balance_loss, bound * e.balance_loss) << "step " << s;
    EXPECT_NEAR(a.grad_norm, e.grad_norm, 10 * bound * e.grad_norm) << "step " << s;
    for (size_t d = 0; d < e.mtp_loss.size(); ++d) EXPECT_NEAR(a.mtp_loss[d], e.mtp_loss[d], bound * e.mtp_loss[d]);
    EXPECT_EQ(a.expert_load_max, e.expert_load_max);
    EXPECT_EQ(a.expert_load_min, e.expert_load_min);
    EXPECT_EQ(a.dead_experts, e.dead_experts);
    ASSERT_EQ(a.gain.has_value(), e.gain.has_value());
    if (!e.gain) continue;
    EXPECT_NEAR(a.gain->first, e.gain->first, 10 * bound * e.gain->first) << "step " << s;
    EXPECT_NEAR(a.gain->second, e.gain->second, 10 * bound * e.gain->second) << "step " << s;
  }
  for (const auto& [name, tensor] : one.state.tensors) {
    ASSERT_TRUE(actual.state.tensors.contains(name)) << name;
    EXPECT_LE(scaled_error(actual.state.tensors.at(name).values, tensor.values), 100 * bound) << name;
  }
}

class TensorParallel : public testing::TestWithParam<Variant> {};

TEST_P(TensorParallel, EqualsOneRankOnTheReference) {
  const TinyRun one{.model = GetParam().options};
  const Outcome expected = train(one);
  TinyRun two = one;
  two.degrees.tp = two.ranks = 2;
  const Outcome actual = train(two);
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

// More ranks than a sequence has tokens, and a convolution that looks back over the runs of several ranks.
TEST(TensorParallelRuns, MayBeShorterThanTheHalo) {
  TinyRun one;
  one.model.decoder.attention.num_heads = 4;
  one.model.decoder.engram.conv_dilation = 5;
  const Outcome expected = train(one);
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
  const Outcome expected = train(one);
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
  const Outcome actual = train(four), expected = train(two);
  EXPECT_GT(actual.reports[0].loss, 0);
  expect_near(actual, expected, 1e-11);
}

// A replay makes the same exchanges with the same numbers, so recomputation changes no bit.
TEST(TensorParallelRecomputation, IsBitwiseNone) {
  for (const int replicas : {1, 2}) {
    TinyRun setup{.device = DeviceKind::cpu, .degrees = {.tp = 2, .ep = replicas}, .ranks = 2 * replicas};
    const Outcome none = train(setup);
    for (const Recompute recompute : {Recompute::block, Recompute::streams}) {
      setup.model.decoder.recompute = recompute;
      const Outcome other = train(setup);
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
      Rank r(world, setup);
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

Whole state_of(Rank& r, Communicator& world) {
  PartCollector parts(r.stream);
  r.trainer.state(parts);
  return assemble(world, std::move(parts.parts));
}

// One rank has a weight that is not finite: all ranks take the same decision, name the tensor and the rank, and change
// nothing but the count of steps.
class TensorParallelNonfinite : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Replicas, TensorParallelNonfinite, testing::Values(1, 2));

TEST_P(TensorParallelNonfinite, IsOneDecisionThatNamesTheShard) {
  const int ranks = 2 * GetParam();
  const TinyRun setup{.degrees = {.tp = 2}, .ranks = ranks};
  std::vector<StepReport> reports(static_cast<size_t>(ranks));
  run_ranks(ranks, [&](Communicator& world) {
    Rank r(world, setup);
    for (const auto& e : r.model.parameters->entries()) {
      if (e.parameter->name != "layers.0.ffn.down.weight" || world.rank() != 1) continue;
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
    EXPECT_EQ(report.first_nonfinite, "the value of layers.0.ffn.down.weight on rank 1");
  }
}

TEST(TensorParallelBatches, ThatDifferBetweenRanksEndTheStep) {
  TinyRun setup{.degrees = {.tp = 2}, .ranks = 2};
  const auto step = [&] {
    run_ranks(2, [&](Communicator& world) {
      Rank r(world, setup);
      StepBatch batch = r.batch(setup, 0);
      if (world.rank() == 1) batch.microbatches[0].tokens[5] ^= 1;
      r.trainer.step(batch, 0.01);
    });
  };
  EXPECT_THROW(step(), CommError);
}

}  // namespace
}  // namespace birkhoff::test
