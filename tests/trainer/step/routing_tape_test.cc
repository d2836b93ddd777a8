#include "trainer/step/routing_tape.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "tests/trainer/support/learner.h"

namespace birkhoff::test {
namespace {

class RoutingTapes : public testing::TestWithParam<Recompute> {};

TEST_P(RoutingTapes, AReplayedStepEqualsTheRecordedOneBitwise) {
  ModelOptions options = with_fast_bias(full_options());
  options.decoder.recompute = GetParam();
  const StepBatch batch = tiny_batch(options, {1, 6, 11, 2, 0, 1});
  Learner recorded(options), replayed(options), plain(options);
  RoutingTape tape(recorded.stream, RoutingTape::Mode::record);
  recorded.trainer.set_instrument(&tape);
  recorded.trainer.measure_gain(true);
  replayed.trainer.measure_gain(true);
  const StepReport first = recorded.trainer.step(batch, 0.01);
  tape.set_mode(RoutingTape::Mode::replay);
  replayed.trainer.set_instrument(&tape);
  const StepReport second = replayed.trainer.step(batch, 0.01), third = plain.trainer.step(batch, 0.01);
  EXPECT_EQ(first.loss, second.loss);
  EXPECT_EQ(first.balance_loss, second.balance_loss);
  EXPECT_EQ(first.grad_norm, second.grad_norm);
  EXPECT_EQ(first.gain, second.gain);
  EXPECT_EQ(first.grad_norm, third.grad_norm) << "recording changes nothing";
  EXPECT_EQ(recorded.values(), replayed.values());
  EXPECT_EQ(recorded.values(), plain.values());
}

INSTANTIATE_TEST_SUITE_P(Recomputations, RoutingTapes,
                         testing::Values(Recompute::none, Recompute::block, Recompute::streams));

// Without the tape, the routers of the second model would choose differently, because their biases differ.
TEST(RoutingTape, MakesAnotherModelChooseAsTheRecordedOne) {
  const ModelOptions options = with_fast_bias(full_options());
  const StepBatch batch = tiny_batch(options, {1, 6, 11, 2, 0, 1});
  Learner recorded(options), other(options), free(options);
  for (Learner* l : {&other, &free}) {
    for (PersistentBuffer* b : l->model.parameters->buffers()) {
      std::vector<double> bias(static_cast<size_t>(b->value.count()), 0.0);
      for (size_t e = 0; e < bias.size(); ++e) bias[e] = e % 2 ? 3 : -3;
      write_values(l->stream, b->value, bias);
    }
  }
  RoutingTape tape(recorded.stream, RoutingTape::Mode::record);
  recorded.trainer.set_instrument(&tape);
  recorded.trainer.step(batch, 0.01);
  tape.set_mode(RoutingTape::Mode::replay);
  other.trainer.set_instrument(&tape);
  other.trainer.step(batch, 0.01);
  free.trainer.step(batch, 0.01);
  auto loads = [](Learner& l) {
    std::vector<std::vector<double>> all;
    for (const auto& r : l.model.parameters->routers()) all.push_back(read_values(l.stream, r.load->value));
    return all;
  };
  EXPECT_EQ(loads(recorded), loads(other));
  EXPECT_NE(loads(recorded), loads(free)) << "the bias changes nothing: the test shows nothing";
}

TEST(RoutingTape, RefusesAStepThatWasNotRecorded) {
  const ModelOptions options = with_fast_bias(full_options());
  Learner learner(options);
  RoutingTape tape(learner.stream, RoutingTape::Mode::replay);
  learner.trainer.set_instrument(&tape);
  EXPECT_THROW(learner.trainer.step(tiny_batch(options, {1, 6, 11, 2, 0, 1}), 0.01), BugError);
}

}  // namespace
}  // namespace birkhoff::test
