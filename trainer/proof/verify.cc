#include "trainer/proof/verify.h"

#include <algorithm>

#include "kernels/core/clock.h"
#include "kernels/core/error.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

constexpr double kChained = 100;  // bounds of the second of two steps without loading
// Steps of documents beyond those that are trained on, for evaluations.
constexpr int64_t kHeldOut = 1'000'000;

// All streams are equal at the first site unless Engram stands before it. So neither mixing them nor, since a norm
// follows, the weights of their sum change anything.
bool is_zero_by_structure(const std::string& where, const DecoderOptions& o) {
  const bool engram_first = std::find(o.engram.layers.begin(), o.engram.layers.end(), 0) != o.engram.layers.end();
  return !engram_first && where.starts_with("layers.0.attention.") &&
         (where.ends_with("(comb)") || where.ends_with("(pre)"));
}

}  // namespace

Proof::Proof(const Config& config, int steps, std::filesystem::path scratch, RunRanks run)
    : config_(config),
      scratch_(std::move(scratch)),
      run_(std::move(run)),
      documents_(config, static_cast<uint64_t>(config.run.seed), addresses_without_tokenizer(config)),
      recorded_(static_cast<size_t>(steps)) {}

std::filesystem::path Proof::folder_of(size_t step) const { return scratch_ / concat("step-", step); }

void Proof::record() {
  run_(1, [&](Communicator& world) {
    ProofRank rank(world, config_, {});
    families_ = families_of(config_, rank.model());
    for (size_t s = 0; s < recorded_.size(); ++s) {
      rank.save(folder_of(s));
      RoutingTape evaluation(rank.stream(), RoutingTape::Mode::record), step(rank.stream(), RoutingTape::Mode::record);
      Recorded& to = recorded_[s];
      const double nats = rank.evaluate(documents_, kHeldOut + static_cast<int64_t>(s), &evaluation);
      to.result = rank.step(documents_, static_cast<int64_t>(s), &step);
      to.result.nats = nats;
      to.routing = step.record();
      to.evaluation = evaluation.record();
      BK_CHECK(!to.result.report.skipped, "step ", s, " of one rank was skipped: ", to.result.report.first_nonfinite,
               "; the proof needs a config whose loss is finite");
    }
  });
  for (const std::string& where : vanishing_gradients(recorded_[0].result, families_, bounds().vanished)) {
    (is_zero_by_structure(where, config_.model) ? structural_ : vanished_).push_back(where);
  }
}

Bounds Proof::bounds() const { return config_.run.device == DeviceKind::reference ? Bounds::reference() : Bounds{}; }

StepResult Proof::replayed_step(ProofRank& rank, size_t s) const {
  const size_t first = rank.first_microbatch();
  RoutingTape evaluation(rank.stream(), recorded_[s].evaluation, first),
      step(rank.stream(), recorded_[s].routing, first);
  const double nats = rank.evaluate(documents_, kHeldOut + static_cast<int64_t>(s), &evaluation);
  StepResult result = rank.step(documents_, static_cast<int64_t>(s), &step);
  result.nats = nats;
  return result;
}

Proof::Taken Proof::take_steps(const ProofLayout& layout) const {
  Taken taken;
  run_(layout.ranks, [&](Communicator& world) {
    ProofRank rank(world, config_, layout.degrees);
    Taken mine;
    for (size_t s = 0; s < recorded_.size(); ++s) {
      rank.load(folder_of(s));
      mine.steps.push_back(replayed_step(rank, s));
    }
    rank.load(folder_of(0));
    for (size_t s = 0; s < std::min<size_t>(2, recorded_.size()); ++s) mine.chained.push_back(replayed_step(rank, s));
    if (world.rank() == 0) taken = std::move(mine);
  });
  return taken;
}

std::vector<OwnUpdate> Proof::updates_of_one_rank(const std::vector<StepResult>& steps) const {
  std::vector<OwnUpdate> updates;
  run_(1, [&](Communicator& world) {
    ProofRank rank(world, config_, {});
    for (size_t s = 0; s < steps.size(); ++s) {
      rank.load(folder_of(s));
      Whole before = rank.state();
      updates.push_back({std::move(before), rank.update_with(steps[s])});
    }
  });
  return updates;
}

LayoutVerdict Proof::prove(const ProofLayout& layout) {
  LayoutVerdict v{layout, {}, 0, {}};
  const double began = now_s();
  const Taken taken = take_steps(layout);
  const std::vector<OwnUpdate> expected = updates_of_one_rank(taken.steps);
  std::vector<std::string> balanced;
  if (config_.optimizer.engram.update == TableUpdate::balanced) balanced = tables_of(families_);
  for (size_t s = 0; s < taken.steps.size(); ++s) {
    v.verdict.add(judge_step(recorded_[s].result, taken.steps[s], families_, bounds()), concat("step ", s));
    v.verdict.add(judge_update(expected[s], taken.steps[s], balanced), concat("step ", s));
  }
  if (taken.chained.size() > 1) {
    v.verdict.add(judge_step(recorded_[1].result, taken.chained[1], families_, bounds().times(kChained)),
                  "second step without loading");
  }
  if (layout.ranks == 1) v.not_counted = "it runs no other code than one rank";
  v.seconds = now_s() - began;
  return v;
}

}  // namespace birkhoff
