// A model that is divided into stages, with several microbatches in flight and deferred weight gradients, gives bitwise
// the results of an undivided model that runs one microbatch after the other.
#include "trainer/step/runner.h"

#include <array>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"
#include "tests/trainer/support/learner.h"
#include "trainer/step/gain_meter.h"
#include "trainer/step/routing_tape.h"

namespace birkhoff::test {
namespace {

using Kind = Action::Kind;

constexpr int kChunks = 3, kMicrobatches = 3;

// Three stages: the embedding and the first block; three blocks, more than the two gradient arenas hold at a time; the
// last block and the head.
ModelOptions cut(ModelOptions o) {
  o.decoder.num_layers = 5;
  o.stage_begins = {2, 5};
  return o;
}

// Two microbatches in flight; all W actions come last, so that all frames are kept until the end.
Program weights_last() {
  Program program{kChunks, kMicrobatches, {}};
  const auto forward = [&](int m) {
    for (int c = 0; c < kChunks; ++c) program.actions.push_back({Kind::forward, c, m});
  };
  const auto backward = [&](int m) {
    for (int c = kChunks; c-- > 0;) program.actions.push_back({Kind::backward_input, c, m});
  };
  forward(0);
  for (int m = 0; m < kMicrobatches; ++m) {
    if (m + 1 < kMicrobatches) forward(m + 1);
    backward(m);
  }
  for (int c = 0; c < kChunks; ++c) {
    for (int m = 0; m < kMicrobatches; ++m) program.actions.push_back({Kind::backward_weight, c, m});
  }
  return program;
}

// Draws a valid program: each action at random from those that may come next.
class RandomProgram {
 public:
  explicit RandomProgram(uint64_t seed) : random_(seed, 0) {}

  Program draw() {
    Program program{kChunks, kMicrobatches, {}};
    while (true) {
      std::vector<Action> next;
      for (int c = 0; c < kChunks; ++c) add_next(c, next);
      if (next.empty()) return program;
      const Action a = next[random_.below(draws_++, next.size())];
      program.actions.push_back(a);
      const auto chunk = static_cast<size_t>(a.chunk);
      if (a.kind == Kind::forward) ++forward_[chunk];
      if (a.kind == Kind::backward || a.kind == Kind::backward_input) ++input_[chunk];
      if (a.kind == Kind::backward || a.kind == Kind::backward_weight) ++weight_[chunk];
    }
  }

 private:
  void add_next(int chunk, std::vector<Action>& next) const {
    const auto c = static_cast<size_t>(chunk);
    const int f = forward_[c], i = input_[c], w = weight_[c];
    if (f < kMicrobatches && (c == 0 || forward_[c - 1] > f)) next.push_back({Kind::forward, chunk, f});
    const bool gradient = c + 1 == kChunks || input_[c + 1] > i;
    if (i < f && gradient) next.push_back({Kind::backward_input, chunk, i});
    if (i < f && gradient && w == i) next.push_back({Kind::backward, chunk, i});
    if (w < i) next.push_back({Kind::backward_weight, chunk, w});
  }

  Philox random_;
  uint64_t draws_ = 0;
  std::array<int, kChunks> forward_{}, input_{}, weight_{};
};

std::string text_of(const Program& program) {
  std::string text;
  for (const Action& action : program.actions) text += to_text(action) + ' ';
  return text;
}

// All results of a step: losses, loads, gradients.
std::vector<TinyModel::Gradient> results_of(TinyModel& tiny) {
  std::vector<TinyModel::Gradient> all = tiny.gradients();
  for (const StepCounter* c : tiny.model.parameters->counters()) {
    all.push_back({c->name, read_values(tiny.stream, c->value)});
  }
  return all;
}

void expect_same_bits(const std::vector<TinyModel::Gradient>& a, const std::vector<TinyModel::Gradient>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].values, b[i].values) << a[i].name;
}

class Stages : public ::testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    for (const Recompute recompute : {Recompute::none, Recompute::block, Recompute::streams}) {
      const bool streams = GetParam().options.decoder.residual.type != ResidualType::plain;
      if (recompute == Recompute::streams && !streams) continue;
      for (const Recipe recipe : {Recipe::f32, Recipe::bf16, Recipe::fp8_block}) {
        cases_.push_back(cut(GetParam().options));
        cases_.back().decoder.recompute = recompute;
        cases_.back().recipe = recipe;
        // Here the embedding and the head are stages of their own.
        if (recipe == Recipe::bf16) cases_.back().stage_begins = {1, cases_.back().decoder.num_layers + 1};
      }
    }
  }
  // The results of the undivided model, one microbatch after the other.
  static std::vector<TinyModel::Gradient> expected(ModelOptions o, const StepBatch& batch) {
    o.stage_begins = {};
    TinyModel tiny({}, o);
    tiny.run(batch, TinyModel::Work::gradients);
    return results_of(tiny);
  }
  std::vector<ModelOptions> cases_;
};

TEST_P(Stages, GiveTheBitsOfOneStageWithAllWeightGradientsLast) {
  for (const ModelOptions& o : cases_) {
    const StepBatch batch = tiny_batch(o, {});
    ASSERT_EQ(batch.microbatches.size(), static_cast<size_t>(kMicrobatches));
    TinyModel tiny({}, o);
    tiny.run(batch, weights_last());
    expect_same_bits(results_of(tiny), expected(o, batch));
    EXPECT_EQ(tiny.runner().peak_frames(), static_cast<size_t>(kChunks * kMicrobatches));
  }
}

TEST_P(Stages, GiveTheBitsOfOneStageInAnyValidOrderOfActions) {
  for (const ModelOptions& o : cases_) {
    const StepBatch batch = tiny_batch(o, {});
    const std::vector<TinyModel::Gradient> whole = expected(o, batch);
    TinyModel tiny({}, o);
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      const Program program = RandomProgram(seed).draw();
      SCOPED_TRACE(text_of(program));
      tiny.run(batch, program);
      expect_same_bits(results_of(tiny), whole);
    }
  }
}

TEST_P(Stages, EvaluateToTheBitsOfOneStage) {
  ModelOptions o = cut(GetParam().options);
  const StepBatch batch = tiny_batch(o, {});
  TinyModel staged({}, o);
  o.stage_begins = {};
  TinyModel whole({}, o);
  EXPECT_EQ(staged.run(batch, TinyModel::Work::evaluation), whole.run(batch, TinyModel::Work::evaluation));
  expect_same_bits(results_of(staged), results_of(whole));
  for (const TinyModel::Gradient& g : results_of(staged)) {
    if (g.name == "loss") continue;
    for (const double value : g.values) ASSERT_EQ(value, 0) << g.name;
  }
  EXPECT_EQ(staged.runner().peak_frames(), 2u) << "a chunk reads its input from the frame of the one before";
}

INSTANTIATE_TEST_SUITE_P(Variants, Stages, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

// Records the addresses of the values that modules show.
class Addresses final : public Instrument {
 public:
  bool wants_values() const override { return true; }
  void show(const std::string&, Tensor value) override { found.push_back(value.data); }
  std::vector<const void*> found;
};

TEST(Frames, HaveTheSameAddressesInEachStep) {
  const ModelOptions o = cut(full_options());
  for (const Program& program : {weights_last(), sequential_program(kChunks, kMicrobatches)}) {
    TinyModel tiny({}, o);
    std::vector<std::vector<const void*>> steps;
    for (int step = 0; step < 4; ++step) {
      Addresses addresses;
      tiny.run(tiny_batch(o, {}), program, &addresses);
      steps.push_back(addresses.found);
    }
    // The arenas grow in the first step and merge into one block each at the start of the second.
    EXPECT_GT(steps[2].size(), 100u);
    EXPECT_EQ(steps[2], steps[3]);
  }
}

TEST(Frames, GiveGradientsTheSameAddressesAfterAnyNumberOfAlternations) {
  FramePool pool(Stream{Device{}}, 0);
  std::vector<const void*> found;
  for (int step = 0; step < 4; ++step) {
    Frame& frame = pool.take();
    found.push_back(frame.take_gradient(DType::f32, {100}).data);
    frame.alternate_gradients();
    frame.take_gradient(DType::f32, {100});
    pool.give_back(frame);
  }
  EXPECT_EQ(found[2], found[1]);
  EXPECT_EQ(found[3], found[1]);
  EXPECT_EQ(pool.peak_frames(), 1u);
}

// The choices of routers are replayed correctly with several microbatches in flight, and also during recomputation.
TEST(Routing, RecordedInOneStageIsReplayedInSeveral) {
  ModelOptions o = cut(full_options());
  o.decoder.recompute = Recompute::block;
  const StepBatch batch = tiny_batch(o, {});
  TinyModel staged({}, o);
  o.stage_begins = {};
  TinyModel whole({}, o);
  RoutingTape tape(whole.stream, RoutingTape::Mode::record);
  whole.run(batch, sequential_program(1, kMicrobatches), &tape);
  tape.set_mode(RoutingTape::Mode::replay);
  staged.run(batch, weights_last(), &tape);
  expect_same_bits(results_of(staged), results_of(whole));
}

TEST(Runner, RefusesABackwardInAnEvaluation) {
  const ModelOptions o = full_options();
  TinyModel tiny({}, o);
  const StepBatch batch = tiny_batch(o, {});
  const auto evaluate = [&](const Program& program) { tiny.run(batch, program, nullptr, Frame::Mode::evaluation); };
  EXPECT_NO_THROW(evaluate(forward_program(1, kMicrobatches)));
  EXPECT_THROW(evaluate(sequential_program(1, kMicrobatches)), BugError);
  EXPECT_THROW(evaluate(forwards_first(kMicrobatches)), BugError);
}

TEST(Gain, OfSeveralStagesIsThatOfOne) {
  ModelOptions o = cut(full_options());
  o.decoder.recompute = Recompute::block;
  const auto gains = [](const ModelOptions& options, const Program& program) {
    TinyModel tiny({}, options);
    Arena memory(tiny.stream.device);
    GainMeter meter(memory);
    tiny.run(tiny_batch(options, {}), program, &meter);
    std::vector<std::vector<double>> values;
    for (const Tensor& gain : meter.tensors()) values.push_back(read_values(tiny.stream, gain));
    return values;
  };
  const auto staged = gains(o, weights_last());
  o.stage_begins = {};
  EXPECT_EQ(staged, gains(o, sequential_program(1, kMicrobatches)));
  EXPECT_EQ(staged.size(), static_cast<size_t>(kMicrobatches));
}

TEST(Trainer, OfAModelInStagesTakesTheStepsOfOne) {
  ModelOptions o = cut(with_fast_bias(full_options()));
  const StepBatch batch = tiny_batch(o, {});
  Learner staged(o);
  o.stage_begins = {};
  Learner whole(o);
  for (Learner* learner : {&staged, &whole}) learner->trainer.measure_gain(true);
  for (int step = 0; step < 2; ++step) {
    const StepReport a = staged.trainer.step(batch, 1e-2), b = whole.trainer.step(batch, 1e-2);
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.grad_norm, b.grad_norm);
    ASSERT_TRUE(a.gain.has_value());
    EXPECT_EQ(a.gain, b.gain);
    EXPECT_EQ(staged.values(), whole.values());
    EXPECT_EQ(staged.trainer.evaluate(batch).nats, whole.trainer.evaluate(batch).nats);
  }
  // A value overflows in the fourth block: the search for non-finite values must work with stages too.
  for (Learner* learner : {&staged, &whole}) {
    for (const ParameterStore::Entry& e : learner->model.parameters->entries()) {
      if (e.parameter->name == "layers.3.attention.out.weight") fill(learner->stream, e.parameter->value, 1e38);
    }
    learner->model.parameters->values_changed();
  }
  const StepReport a = staged.trainer.step(batch, 1e-2), b = whole.trainer.step(batch, 1e-2);
  EXPECT_EQ(a.skip_reason, SkipReason::nonfinite);
  EXPECT_THAT(a.first_nonfinite, testing::HasSubstr("layers.3.attention"));
  EXPECT_EQ(a.first_nonfinite, b.first_nonfinite);
}

}  // namespace
}  // namespace birkhoff::test
