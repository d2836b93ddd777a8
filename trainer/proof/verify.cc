#include "trainer/proof/verify.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/core/clock.h"
#include "kernels/core/error.h"
#include "parallel/comm/threads/thread_world.h"
#include "trainer/proof/free_routing.h"
#include "trainer/proof/moved_rows.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

// Times the bounds of a step, for the second of two steps without loading.
constexpr double kChained = 5;
// Times the bound of gradients, for hc. Its tokens have more in common (trainer/proof/weights.cc), so the gradients of
// queries and keys, which are differences between tokens, are smaller beside their rounding: 0.86 of the bound was
// seen.
constexpr double kUnbounded = 2;
constexpr double kUnbrokenBound = 1e-9;
// A layout may be so many times as far from the reference device as one rank in the same recipe. Both round as often,
// but at other places.
constexpr double kRecipe = 1.5;
// The gradient of a score is what remains of the differences between the tokens that a query attends to. With 3 tokens
// it was off by 1.1 times the bound.
constexpr int64_t kShortest = 4;
// Steps of documents beyond those that are trained on, for evaluations.
constexpr int64_t kHeldOut = 1'000'000;

// All streams are equal at the first site unless Engram stands before it. So neither mixing them nor, since a norm
// follows, the weights of their sum change anything. A bias of all keys that is not rotated changes all scores of a
// query by the same number, which softmax ignores.
bool is_zero_by_structure(const std::string& where, const DecoderOptions& o) {
  const bool same_for_all_keys = o.position == PositionType::learned && !o.attention.qk_norm;
  if (same_for_all_keys && where.ends_with("attention.kv.bias (block 0)")) return true;
  const bool engram_first = std::find(o.engram.layers.begin(), o.engram.layers.end(), 0) != o.engram.layers.end();
  return !engram_first && where.starts_with("layers.0.attention.") &&
         (where.ends_with("(comb)") || where.ends_with("(pre)"));
}

int64_t evaluation_of(size_t step) { return kHeldOut + static_cast<int64_t>(step); }

// Keeps of a state what later steps are compared with.
void keep(Whole& state, const std::function<bool(const std::string& name)>& wanted) {
  std::erase_if(state.tensors, [&](const auto& entry) { return !wanted(entry.first); });
}
bool is_router_bias(const std::string& name) { return name.ends_with("gate.bias"); }
bool is_of_model(const std::string& name) { return name.starts_with("model."); }

}  // namespace

// Judges the steps of one layout. Lives on rank 0, with a rank of its own that repeats updates.
class Proof::Judge {
 public:
  Judge(const Proof& proof, Verdict& verdict)
      : proof_(proof), verdict_(verdict), alone_(make_thread_world(1)), one_(*alone_[0], proof.config_, {}) {
    const TableOptions& tables = proof.config_.optimizer.engram;
    if (tables.update != TableUpdate::balanced) return;
    balanced_ = tables_of(proof.families_);
    for (const auto& [name, begins] : proof.matrix_begins_) moving_.push_back({name, begins, tables.beta, tables.tau});
  }

  // A step from a loaded state, with the recorded choices.
  void replayed(size_t s, const StepResult& layout) {
    const Recorded& one = proof_.recorded_[s];
    verdict_.add(proof_.in_f32() ? judge_step(one.result, layout, proof_.families_, proof_.bounds())
                                 : judge_recipe(one.result, layout, one.reference, proof_.families_, kRecipe),
                 concat("step ", s));
    update(s, layout);
  }

  // A step from a loaded state, with the choices of the layout itself, in the step and in the evaluation before it.
  void free(size_t s, const StepResult& layout, const Whole& choices, const Whole& evaluation) {
    const Recorded& one = proof_.recorded_[s];
    const MoeOptions& options = proof_.config_.model.moe;
    const auto batches = [&](int64_t number) { return proof_.documents_.share(number, 0, 1).microbatches; };
    const RoutingVerdict step = judge_routing(one.routing, choices, batches(static_cast<int64_t>(s)), options),
                         held_out = judge_routing(one.evaluation, evaluation, batches(evaluation_of(s)), options);
    for (const RoutingVerdict* v : {&step, &held_out}) {
      for (const std::string& failure : v->failures) verdict_.failures.push_back(concat("step ", s, ": ", failure));
    }
    const int64_t disagreeing = step.disagreeing + held_out.disagreeing, tokens = step.tokens + held_out.tokens;
    verdict_.notes.push_back(concat("step ", s, ": ", disagreeing, " of ", tokens, " tokens chose other experts"));
    verdict_.add(disagreeing == 0 ? judge_step(one.result, layout, proof_.families_, proof_.bounds())
                                  : judge_batch(one.result, layout),
                 concat("step ", s));
    update(s, layout);
  }

  // Step s of several without loading.
  void chained(size_t s, const StepResult& layout) {
    const StepResult& one = proof_.recorded_[s].result;
    if (s == 1) {
      const Bounds wider = proof_.bounds().times(kChained);
      verdict_.add(judge_step(one, layout, proof_.families_, wider), "second step without loading");
    }
    if (!proof_.on_reference()) return;
    unbroken(concat("loss of step ", s), std::abs(one.report.loss - layout.report.loss) / std::abs(one.report.loss));
    if (s + 1 < proof_.recorded_.size()) return;
    for (const auto& [name, tensor] : proof_.last_state_.tensors) {
      unbroken(name, relative_distance(tensor.values, layout.state.tensors.at(name).values));
    }
  }

 private:
  // That one rank's optimizer makes the same of the layout's gradients.
  void update(size_t s, const StepResult& layout) {
    one_.load(proof_.folder_of(s));
    OwnUpdate expected;
    if (!balanced_.empty()) expected.before = one_.state();
    expected.after = one_.update_with(layout);
    verdict_.add(judge_update(expected, layout, balanced_), concat("step ", s));
    for (const BalancedTable& table : moving_) {
      verdict_.add(judge_moved_rows(expected, layout, table), concat("step ", s));
    }
  }
  void unbroken(const std::string& where, double error) {
    verdict_.compare(concat(proof_.recorded_.size(), " unbroken steps"), where, error, kUnbrokenBound);
  }

  const Proof& proof_;
  Verdict& verdict_;
  std::vector<std::unique_ptr<Communicator>> alone_;
  ProofRank one_;
  std::vector<std::string> balanced_;
  std::vector<BalancedTable> moving_;
};

Proof::Proof(const Config& config, int steps, std::filesystem::path scratch, RunRanks run, ProofRouting routing)
    : config_(config),
      scratch_(std::move(scratch)),
      run_(std::move(run)),
      routing_(routing),
      documents_(config, static_cast<uint64_t>(config.run.seed), addresses_without_tokenizer(config)),
      num_steps_(static_cast<size_t>(steps)) {
  check(config, routing);
  const bool unbroken = on_reference() && routing == ProofRouting::replayed;
  recorded_.resize(unbroken ? std::max(num_steps_, static_cast<size_t>(kUnbroken)) : num_steps_);
}

void Proof::check(const Config& config, ProofRouting routing) {
  BK_CHECK(routing == ProofRouting::replayed || in_f32(config), "--routing free with --precision ",
           name_of(config.precision.recipe), ": rounding explains other choices of experts only in f32; leave out ",
           "--precision, or replay the choices");
  const int64_t length = config.batch.sequence_length;
  BK_CHECK(config.run.device == DeviceKind::reference || length >= kShortest, "batch.sequence_length is ", length,
           ": the gradients of attention scores over fewer than ", kShortest,
           " tokens are little more than rounding; add --set batch.sequence_length=", kShortest,
           " or --device reference");
}

std::filesystem::path Proof::folder_of(size_t step) const { return scratch_ / concat("step-", step); }

Proof::Recorded Proof::record_step(ProofRank& rank, size_t s) const {
  Recorded r;
  RoutingTape evaluation(rank.stream(), RoutingTape::Mode::record), step(rank.stream(), RoutingTape::Mode::record);
  const double nats = rank.evaluate(documents_, evaluation_of(s), &evaluation);
  r.result = rank.step(documents_, static_cast<int64_t>(s), &step);
  r.result.nats = nats;
  r.routing = step.record();
  r.evaluation = evaluation.record();
  BK_CHECK(!r.result.report.skipped, "step ", s, " of one rank was skipped: ", r.result.report.first_nonfinite,
           "; the proof needs a config whose loss is finite");
  return r;
}

void Proof::record() {
  run_(1, [&](Communicator& world) {
    ProofRank rank(world, config_, {});
    rank.set_values();
    families_ = families_of(config_, rank.model());
    matrix_begins_ = rank.matrix_begins();
    for (size_t s = 0; s < recorded_.size(); ++s) {
      if (s < num_steps_) rank.save(folder_of(s));
      recorded_[s] = record_step(rank, s);
      if (s + 1 == recorded_.size() && on_reference()) {
        last_state_ = recorded_[s].result.state;
        keep(last_state_, is_of_model);
      }
      keep(recorded_[s].result.state, is_router_bias);
    }
  });
  if (!in_f32()) record_reference();
  // In other recipes rounding is so large that only the reference device shows what vanishes.
  const StepResult& precise = in_f32() ? recorded_[0].result : recorded_[0].reference;
  for (const std::string& where : vanishing_gradients(precise, families_, bounds().vanished)) {
    (is_zero_by_structure(where, config_.model) ? structural_ : vanished_).push_back(where);
  }
}

void Proof::record_reference() {
  Config config = config_;
  config.run.device = DeviceKind::reference;
  run_(1, [&](Communicator& world) {
    ProofRank rank(world, config, {});
    for (size_t s = 0; s < num_steps_; ++s) {
      rank.load(folder_of(s));
      RoutingTape tape(rank.stream(), recorded_[s].routing, rank.share());
      recorded_[s].reference = rank.step(documents_, static_cast<int64_t>(s), &tape);
      recorded_[s].reference.state = {};
    }
  });
}

Verdict Proof::distance_from_reference(const Bounds& bounds) {
  if (recorded_[0].reference.gradients.tensors.empty()) record_reference();
  Verdict v;
  for (size_t s = 0; s < num_steps_; ++s) {
    v.add(judge_values(recorded_[s].reference, recorded_[s].result, families_, bounds), concat("step ", s));
  }
  return v;
}

Bounds Proof::bounds() const {
  if (on_reference()) return Bounds::reference();
  Bounds bounds;
  if (mixes_without_bound()) bounds.gradient *= kUnbounded;
  return bounds;
}

bool Proof::mixes_without_bound() const { return config_.model.residual.type == ResidualType::hc; }

StepResult Proof::replayed_step(ProofRank& rank, size_t s) const {
  const RoutingTape::Share share = rank.share();
  RoutingTape evaluation(rank.stream(), recorded_[s].evaluation, share),
      step(rank.stream(), recorded_[s].routing, share);
  const double nats = rank.evaluate(documents_, evaluation_of(s), &evaluation);
  StepResult result = rank.step(documents_, static_cast<int64_t>(s), &step);
  result.nats = nats;
  return result;
}

// Collective. The judge is null except on rank 0.
void Proof::prove_steps(ProofRank& rank, Judge* judge) const {
  for (size_t s = 0; s < num_steps_; ++s) {
    rank.load(folder_of(s));
    if (routing_ == ProofRouting::replayed) {
      const StepResult result = replayed_step(rank, s);
      if (judge) judge->replayed(s, result);
      continue;
    }
    RoutingTape evaluation(rank.stream(), RoutingTape::Mode::record), step(rank.stream(), RoutingTape::Mode::record);
    const double nats = rank.evaluate(documents_, evaluation_of(s), &evaluation);
    StepResult result = rank.step(documents_, static_cast<int64_t>(s), &step);
    result.nats = nats;
    const Whole choices = rank.choices(step.record()), held_out = rank.choices(evaluation.record());
    if (judge) judge->free(s, result, choices, held_out);
  }
}

// Collective, like prove_steps(). In other recipes no bound on the second step follows from rounding, and with free
// routing it may choose other experts.
void Proof::prove_chain(ProofRank& rank, Judge* judge) const {
  const size_t count = on_reference() ? recorded_.size() : std::min<size_t>(2, num_steps_);
  if (routing_ == ProofRouting::free || !in_f32() || count < 2) return;
  rank.load(folder_of(0));
  for (size_t s = 0; s < count; ++s) {
    const StepResult result = replayed_step(rank, s);
    if (judge) judge->chained(s, result);
  }
}

LayoutVerdict Proof::prove(const ProofLayout& layout) {
  LayoutVerdict v{layout, {}, 0, {}};
  const double began = now_s();
  run_(layout.ranks, [&](Communicator& world) {
    ProofRank rank(world, config_, layout.degrees);
    std::unique_ptr<Judge> judge;
    if (world.rank() == 0) judge = std::make_unique<Judge>(*this, v.verdict);
    prove_steps(rank, judge.get());
    prove_chain(rank, judge.get());
  });
  if (layout.ranks == 1) v.not_counted = "it runs no other code than one rank";
  v.seconds = now_s() - began;
  return v;
}

}  // namespace birkhoff
