// A step that is divided over replicas equals the step of one replica.
#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <mutex>

#include <gmock/gmock.h>

#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/host_stream.h"
#include "tests/support/op_case.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/step/trainer.h"

namespace birkhoff::test {
namespace {

struct Rules {
  ModelOptions model = full_options();
  DeviceKind device = DeviceKind::cpu;
  OptimizerType dense = OptimizerType::adamw;
  TableUpdate table = TableUpdate::balanced;
  int steps = 10;
};

ModelOptions model_options(const Rules& s) {
  ModelOptions o = s.model;
  o.cost_of = [kind = s.dense](const Parameter& p) { return update_cost(p, kind); };
  return o;
}

TrainerOptions trainer_options(const Rules& s) {
  TrainerOptions o;
  o.optimizer.type = s.dense;
  // All streams of the first layer are equal, so the gradient of their mixing is only rounding. With a small eps, AdamW
  // would turn it into full steps, in directions that depend on the order of sums.
  o.optimizer.adamw.eps = 1e-3;
  o.optimizer.engram.update = s.table;
  return o;
}

struct Outcome {
  std::vector<StepReport> reports;
  std::map<std::string, std::vector<double>> values;  // parameters, biases, tables
};

// A rank's model and trainer.
struct Replica {
  Replica(Communicator& comm, const Rules& rules, const TrainerOptions& options)
      : mesh(comm, {}),
        model(make_model({rules.device}, mesh, model_options(rules))),
        trainer({{rules.device}}, mesh, model, options) {
    set_trained_values(stream(), model, 1);
  }
  Stream& stream() { return stream_; }
  Mesh mesh;
  Model model;
  Trainer trainer;

 private:
  Stream stream_{model.build.device};
};

// The whole table, fetched from the ranks that hold its rows.
std::vector<double> whole_table(Stream& stream, ShardedRowStore& table) {
  Arena arena(stream.device);
  std::vector<int64_t> all(static_cast<size_t>(table.num_rows()));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  const Tensor out = arena.take(DType::f32, {table.num_rows(), table.row_width()});
  table.fetch(stream, all, out);
  return read_values(stream, out);
}

std::map<std::string, std::vector<double>> values_of_model(Replica& r) {
  std::map<std::string, std::vector<double>> out;
  for (const auto& e : r.model.parameters->entries()) {
    out[e.parameter->name] = read_values(r.stream(), e.parameter->value);
  }
  for (PersistentBuffer* b : r.model.parameters->buffers()) out[b->name] = read_values(r.stream(), b->value);
  for (auto& table : r.model.tables) out[table->name()] = whole_table(r.stream(), *table);
  return out;
}

StepBatch batch_of(const Rules& s, const Communicator& comm, int step) {
  return tiny_batch(model_options(s), {static_cast<uint64_t>(1 + step % 2), 6, 11, 2, comm.rank(), comm.size()});
}

// The sequences of a rank in a step.
using Share = std::function<StepBatch(const Communicator&, int step)>;

Outcome train(const Rules& rules, int ranks, const Share& share) {
  std::vector<Outcome> outcomes(static_cast<size_t>(ranks));
  run_ranks(ranks, [&](Communicator& comm) {
    Replica r(comm, rules, trainer_options(rules));
    r.trainer.measure_gain(true);
    Outcome& mine = outcomes[static_cast<size_t>(comm.rank())];
    for (int step = 0; step < rules.steps; ++step) mine.reports.push_back(r.trainer.step(share(comm, step), 0.01));
    mine.values = values_of_model(r);
  });
  for (int rank = 1; rank < ranks; ++rank) {
    const Outcome& other = outcomes[static_cast<size_t>(rank)];
    EXPECT_EQ(other.values, outcomes[0].values) << "replica " << rank << " differs from replica 0";
    for (int step = 0; step < rules.steps; ++step) {
      const size_t i = static_cast<size_t>(step);
      EXPECT_EQ(other.reports[i].loss, outcomes[0].reports[i].loss);
      EXPECT_EQ(other.reports[i].grad_norm, outcomes[0].reports[i].grad_norm);
    }
  }
  return outcomes[0];
}

Outcome train(const Rules& rules, int ranks) {
  return train(rules, ranks, [&](const Communicator& comm, int step) { return batch_of(rules, comm, step); });
}

void expect_near(const Outcome& actual, const Outcome& expected, double bound, double weight_bound) {
  for (size_t step = 0; step < expected.reports.size(); ++step) {
    const StepReport &a = actual.reports[step], &e = expected.reports[step];
    EXPECT_FALSE(a.skipped);
    EXPECT_NEAR(a.loss, e.loss, bound * e.loss) << "step " << step;
    EXPECT_NEAR(a.grad_norm, e.grad_norm, 10 * bound * e.grad_norm) << "step " << step;
    EXPECT_NEAR(a.balance_loss, e.balance_loss, bound * e.balance_loss) << "step " << step;
    for (size_t d = 0; d < e.mtp_loss.size(); ++d) EXPECT_NEAR(a.mtp_loss[d], e.mtp_loss[d], bound * e.mtp_loss[d]);
    EXPECT_EQ(a.expert_load_max, e.expert_load_max);
    EXPECT_EQ(a.dead_experts, e.dead_experts);
  }
  for (const auto& [name, values] : expected.values) {
    EXPECT_LE(scaled_error(actual.values.at(name), values), weight_bound) << name;
  }
}

void expect_gains_near(const Outcome& actual, const Outcome& expected, double bound) {
  for (size_t step = 0; step < expected.reports.size(); ++step) {
    const auto &a = actual.reports[step].gain, &e = expected.reports[step].gain;
    ASSERT_TRUE(a && e);
    EXPECT_NEAR(a->first, e->first, bound * e->first) << "step " << step;
    EXPECT_NEAR(a->second, e->second, bound * e->second) << "step " << step;
  }
}

class Replicas : public ::testing::TestWithParam<std::tuple<OptimizerType, TableUpdate>> {
 protected:
  void expect_equal_to_one(DeviceKind device, int steps, double bound, double weight_bound) {
    const Rules rules{full_options(), device, std::get<0>(GetParam()), std::get<1>(GetParam()), steps};
    const Outcome one = train(rules, 1);
    EXPECT_LT(one.reports[static_cast<size_t>(steps) - 2].loss, one.reports[0].loss) << "the same batch";
    for (int ranks : {2, 3}) {
      const Outcome many = train(rules, ranks);
      expect_near(many, one, bound, weight_bound);
      // The gain is the largest over the microbatches. Three replicas have the same microbatches as one; two do not.
      if (ranks == 3) expect_gains_near(many, one, 10 * bound);
    }
  }
};

// Each training step of this tiny model multiplies a difference by about 3.
TEST_P(Replicas, OfTheReferenceEqualOneToTheLastDigits) {
  expect_equal_to_one(DeviceKind::reference, 10, 1e-11, 1e-10);
}
// The bound is wide because Muon also moves directions that have hardly any gradient as far as all others.
TEST_P(Replicas, InF32EqualOneUpToTheOrderOfSums) { expect_equal_to_one(DeviceKind::cpu, 6, 5e-5, 5e-3); }

// Sanitizers make a step several times slower, and look for faults that hardly depend on the update.
#ifdef BIRKHOFF_SANITIZED
const auto kTableUpdates = testing::Values(TableUpdate::balanced);
#else
const auto kTableUpdates = testing::Values(TableUpdate::balanced, TableUpdate::sparse_adamw);
#endif
INSTANTIATE_TEST_SUITE_P(
    Updates, Replicas, ::testing::Combine(::testing::Values(OptimizerType::adamw, OptimizerType::muon), kTableUpdates),
    [](const auto& info) {
      return concat(std::get<0>(info.param) == OptimizerType::muon ? "muon" : "adamw",
                    std::get<1>(info.param) == TableUpdate::balanced ? "_balanced" : "_sparse_adamw");
    });

TEST(ReplicasMuon, OwnMatricesWhole) {
  Rules rules;
  rules.dense = OptimizerType::muon;
  run_ranks(3, [&](Communicator& comm) {
    Replica r(comm, rules, trainer_options(rules));
    bool cut = false;
    for (const auto& o : r.model.parameters->owned()) {
      const int64_t end = o.begin + o.slice.count();
      if (assignment_of(*o.parameter, rules.dense).rule == OptimizerType::muon && !o.slice.whole()) {
        const MatrixUnits units = matrix_units_of(*o.parameter, {o.parameter->held, o.parameter->value.shape});
        const int64_t grain = o.parameter->shape.count() / units.held;
        EXPECT_EQ(o.begin % grain, 0) << o.parameter->name;
        EXPECT_TRUE(end % grain == 0 || end == o.parameter->shape.count()) << o.parameter->name;
      }
      cut = cut || !o.slice.whole();
    }
    double cuts[1] = {cut ? 1.0 : 0.0};
    Stream stream;
    comm.all_reduce(host_stream(), {cuts, DType::f64, {1}})->wait(stream);
    EXPECT_GT(cuts[0], 0) << "nothing was cut: the case tests nothing";
  });
}

// The first replica has all sequences; the microbatches of the others are empty.
TEST(ReplicasWithoutTokens, TakeTheStepsOfOneReplica) {
  Rules rules;
  rules.device = DeviceKind::reference;
  const auto share = [&](const Communicator& comm, int step) {
    StepBatch batch = tiny_batch(model_options(rules), {static_cast<uint64_t>(1 + step % 2), 6, 11, 2});
    if (comm.rank() > 0) remove_sequences(batch);
    return batch;
  };
  const Outcome one = train(rules, 1, share);
  for (const int ranks : {2, 3}) expect_near(train(rules, ranks, share), one, 1e-11, 1e-10);
}

// If a value on one replica is not finite, all replicas skip the step, name the value, and change nothing.
TEST(ReplicasSkip, AStepWhoseGradientIsNotFinite) {
  const Rules rules;
  run_ranks(3, [&](Communicator& comm) {
    Replica r(comm, rules, trainer_options(rules));
    EXPECT_FALSE(r.trainer.step(batch_of(rules, comm, 0), 0.01).skipped);
    const auto before = values_of_model(r);
    Parameter* poisoned = nullptr;
    for (const auto& e : r.model.parameters->entries()) {
      if (e.parameter->name == "layers.1.ffn.norm.weight") poisoned = e.parameter;
    }
    ASSERT_NE(poisoned, nullptr);
    const double kept = read_values(r.stream(), poisoned->value)[3];
    if (comm.rank() == 1) fill(r.stream(), poisoned->value.flat(3, 1), std::numeric_limits<double>::quiet_NaN());
    r.model.parameters->values_changed();
    const StepReport report = r.trainer.step(batch_of(rules, comm, 1), 0.01);
    EXPECT_TRUE(report.skipped);
    EXPECT_EQ(report.skip_reason, SkipReason::nonfinite);
    EXPECT_EQ(report.first_nonfinite, "the value of layers.1.ffn.norm.weight on rank 1 (dp 1)");
    if (comm.rank() == 1) fill(r.stream(), poisoned->value.flat(3, 1), kept);
    r.model.parameters->values_changed();
    EXPECT_EQ(values_of_model(r), before);
    EXPECT_FALSE(r.trainer.step(batch_of(rules, comm, 2), 0.01).skipped) << "a step after it works";
  });
}

// Runs a step after `spoil` changed rank 1 of two. Returns the place that both ranks report.
using Spoil = std::function<void(Replica&)>;
std::string named(const ModelOptions& model, const Spoil& spoil, Recompute recompute = Recompute::none) {
  Rules rules;
  rules.model = model;
  rules.model.decoder.recompute = recompute;
  std::vector<std::string> names(2);
  run_ranks(2, [&](Communicator& comm) {
    Replica r(comm, rules, trainer_options(rules));
    EXPECT_FALSE(r.trainer.step(batch_of(rules, comm, 0), 0.01).skipped);
    if (comm.rank() == 1) spoil(r);
    r.model.parameters->values_changed();
    const StepReport report = r.trainer.step(batch_of(rules, comm, 1), 0.01);
    EXPECT_TRUE(report.skipped);
    names[static_cast<size_t>(comm.rank())] = report.first_nonfinite;
  });
  EXPECT_EQ(names[0], names[1]);
  return names[0];
}

Tensor value_of(Replica& r, const std::string& name) {
  for (const auto& e : r.model.parameters->entries()) {
    if (e.parameter->name == name) return e.parameter->value;
  }
  for (PersistentBuffer* b : r.model.parameters->buffers()) {
    if (b->name == name) return b->value;
  }
  throw BugError("no parameter " + name);
}

Spoil set(const std::string& name, int64_t element, double value) {
  return [=](Replica& r) { fill(r.stream(), value_of(r, name).flat(element, 1), value); };
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

TEST(FirstNonfinite, IsTheWeightOfOneExpert) {
  // Experts of [10, 12]: element 3 * 120 + 7 is of expert 3.
  EXPECT_EQ(named(full_options(), set("layers.1.ffn.experts.up", 367, kNan)),
            "the value of layers.1.ffn.experts.up, expert 3 on rank 1 (dp 1)");
  EXPECT_EQ(named(full_options(), set("layers.1.ffn.experts.up", 367, kInf), Recompute::block),
            "the value of layers.1.ffn.experts.up, expert 3 on rank 1 (dp 1)");
}

TEST(FirstNonfinite, IsTheBiasOfARouterOrARowOfATable) {
  EXPECT_EQ(named(full_options(), set("layers.1.ffn.gate.bias", 2, kNan)),
            "the value of layers.1.ffn.gate.bias on rank 1 (dp 1)");
  // The second of two ranks holds rows 15 to 28.
  const auto row = [](Replica& r) { fill(r.stream(), r.model.tables[0]->local_values().flat(3 * 2, 3 * 9), kInf); };
  EXPECT_EQ(named(full_options(), row), "the value of layers.1.engram.table, row 17 on rank 1 (dp 1)");
}

// All values are finite, but their products are infinite, and then softmax and sqrt-softplus give NaN.
TEST(FirstNonfinite, IsTheLogitsOfARouter) {
  const auto spoil = [](Replica& r) { fill(r.stream(), value_of(r, "layers.1.ffn.gate.weight").flat(12, 12), 3e38); };
  for (size_t variant : {4, 5}) {
    for (Recompute recompute : {Recompute::none, Recompute::block}) {
      EXPECT_EQ(named(variants()[variant].options, spoil, recompute),
                "the router logits of layers.1.ffn, microbatch 1, on rank 1 (dp 1)");
    }
  }
}

TEST(FirstNonfinite, IsTheOutputOfOneExpert) {
  const auto spoil = [](Replica& r) {
    const Tensor up = value_of(r, "layers.1.ffn.experts.up");
    fill(r.stream(), up.flat(4 * 120, 120), 1e30);
  };
  EXPECT_THAT(named(full_options(), spoil),
              ::testing::MatchesRegex("the output of expert 4 of layers.1.ffn, microbatch [123], on rank 1 .dp 1."));
}

TEST(FirstNonfinite, IsTheLossOfOneRank) {
  const auto spoil = [](Replica& r) {
    fill(r.stream(), value_of(r, "head.norm.weight"), 1e20);
    fill(r.stream(), value_of(r, "head.weight"), 1e20);
  };
  EXPECT_EQ(named(variants()[1].options, spoil), "the loss, microbatch 1, on rank 1 (dp 1)");
}

// The first half of the up projection, the gate, is 0, so the forward yields zeros. In the backward, a huge second half
// meets a huge down projection and overflows. The blocks below receive the non-finite gradient from this layer.
TEST(FirstNonfinite, IsTheLastModuleWithABadGradient) {
  const auto spoil = [](Replica& r) {
    const Tensor up = value_of(r, "layers.1.ffn.up.weight");
    fill(r.stream(), up.flat(0, up.count() / 2), 0);
    fill(r.stream(), up.flat(up.count() / 2, up.count() / 2), 1e15);
    fill(r.stream(), value_of(r, "layers.1.ffn.down.weight"), 1e37);
  };
  for (Recompute recompute : {Recompute::none, Recompute::block}) {
    EXPECT_EQ(named(variants()[1].options, spoil, recompute),
              "the gradient of layers.1.ffn.up.weight, microbatch 1, on rank 1 (dp 1)");
  }
}

TEST(FirstNonfinite, IsReportedOnEveryRankIfAllRanksHaveIt) {
  Rules rules;
  run_ranks(2, [&](Communicator& comm) {
    Replica r(comm, rules, trainer_options(rules));
    set("layers.0.ffn.norm.weight", 1, kNan)(r);
    r.model.parameters->values_changed();
    EXPECT_EQ(r.trainer.step(batch_of(rules, comm, 0), 0.01).first_nonfinite,
              "the value of layers.0.ffn.norm.weight on every rank");
  });
}

TEST(ReplicasSkip, AStepWhoseLossStandsOut) {
  const Rules rules;
  run_ranks(2, [&](Communicator& comm) {
    TrainerOptions options = trainer_options(rules);
    options.optimizer.spike.z_score = 6;
    options.optimizer.spike.window = 8;
    Replica r(comm, rules, options);
    for (int step = 0; step < 8; ++step) EXPECT_FALSE(r.trainer.step(batch_of(rules, comm, step), 1e-4).skipped);
    for (const auto& e : r.model.parameters->entries()) {
      if (e.parameter->name == "head.norm.weight") fill(r.stream(), e.parameter->value, 100);
    }
    r.model.parameters->values_changed();
    const auto before = values_of_model(r);
    const StepReport report = r.trainer.step(batch_of(rules, comm, 8), 1e-4);
    EXPECT_TRUE(report.skipped);
    EXPECT_EQ(report.skip_reason, SkipReason::spike);
    EXPECT_EQ(values_of_model(r), before);
  });
}

}  // namespace
}  // namespace birkhoff::test
