#include "tests/trainer/support/tiny_run.h"

#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

TrainerOptions trainer_options() {
  TrainerOptions o;
  o.optimizer.adamw.eps = 1e-3;  // gradients that are only rounding must not become full updates
  o.optimizer.engram.update = TableUpdate::sparse_adamw;
  return o;
}

}  // namespace

TinyRank::TinyRank(Communicator& world, const TinyRun& setup)
    : mesh(world, setup.degrees),
      stream{Device{setup.device}},
      model(make_model(stream.device, mesh, setup.model)),
      trainer(stream, mesh, model, trainer_options()) {
  set_trained_values(stream, model, 1);
  if (setup.prepare) setup.prepare(stream, model);
  trainer.measure_gain(setup.model.decoder.residual.num_streams() > 1);
}

StepBatch TinyRank::batch(const TinyRun& setup, int step) const {
  TinyStep share{static_cast<uint64_t>(1 + step % 2), kSequences, setup.length, 2};
  share.rank = mesh.coordinate(Axis::dp);
  share.ranks = mesh.degree(Axis::dp);
  StepBatch batch = tiny_batch(setup.model, share);
  if (setup.change) setup.change(batch, mesh);
  return batch;
}

TinyOutcome train(const TinyRun& setup) {
  std::vector<TinyOutcome> outcomes(static_cast<size_t>(setup.ranks));
  run_ranks(setup.ranks, [&](Communicator& world) {
    TinyRank r(world, setup);
    TinyOutcome& mine = outcomes[static_cast<size_t>(world.rank())];
    for (int step = 0; step < setup.steps; ++step) {
      mine.nats.push_back(r.trainer.evaluate(r.batch(setup, step + 1)).nats);
      mine.reports.push_back(r.trainer.step(r.batch(setup, step), 0.01));
    }
    PartCollector parts(r.stream);
    r.trainer.state(parts);
    mine.state = assemble(world, parts.parts);
  });
  for (const TinyOutcome& other : outcomes) {
    for (size_t s = 0; s < other.reports.size(); ++s) {
      EXPECT_EQ(other.reports[s].loss, outcomes[0].reports[s].loss);
      EXPECT_EQ(other.reports[s].grad_norm, outcomes[0].reports[s].grad_norm);
      EXPECT_EQ(other.reports[s].gain, outcomes[0].reports[s].gain);
    }
  }
  EXPECT_THAT(outcomes[0].state.faults, testing::IsEmpty());
  return outcomes[0];
}

void expect_near(const TinyOutcome& actual, const TinyOutcome& one, double bound) {
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

}  // namespace birkhoff::test
