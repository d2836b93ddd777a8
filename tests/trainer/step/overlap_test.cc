// The reduction of gradients overlaps with the backward pass. The order of a rank's ops and collectives shows it.
#include <gtest/gtest.h>

#include "parallel/comm/forwarding.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/step/trainer.h"

namespace birkhoff::test {
namespace {

constexpr int64_t kLayers = 4;

// Records ops and starts of collectives in order, and counts the calls of progress().
struct Events final : OpObserver {
  void begin(std::string_view op) override { names.emplace_back(op); }
  void end() override { ++ops; }
  void flops(double) override {}
  std::vector<size_t> places_of(const std::string& name) const {
    std::vector<size_t> places;
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == name) places.push_back(i);
    }
    return places;
  }
  std::vector<std::string> names;
  int64_t ops = 0, progress = 0;
};

class RecordedCommunicator final : public ForwardingCommunicator {
 public:
  RecordedCommunicator(Inner inner, Events& events) : ForwardingCommunicator(std::move(inner)), events_(events) {}
  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    return std::make_unique<RecordedCommunicator>(inner().split(color, key, name), events_);
  }
  void progress() override {
    ++events_.progress;
    inner().progress();
  }
  Pending start(Operation operation) override {
    events_.names.emplace_back(name_of(operation.op));
    return inner().start(std::move(operation));
  }

 private:
  Events& events_;
};

Events events_of_a_step(const ModelOptions& options) {
  Events events_of_first;
  run_ranks(2, [&](Communicator& comm) {
    Events events;
    RecordedCommunicator recorded(comm, events);
    Stream stream;
    const Mesh mesh(recorded, {});
    events = {};
    Model model = make_model({}, mesh, options);
    set_trained_values(stream, model, 1);
    stream.observer = &events;
    Trainer trainer(stream, mesh, model, {});
    trainer.step(tiny_batch(options, {1, 6, 11, 1, comm.rank(), comm.size()}), 0.01);
    if (comm.rank() == 0) events_of_first = events;
  });
  return events_of_first;
}

ModelOptions four_layers() {
  ModelOptions options = variants()[1].options;
  options.decoder.num_layers = kLayers;
  return options;
}

TEST(Overlap, AUnitsReductionStartsBeforeTheBackwardOfTheUnitsBelow) {
  const Events events = events_of_a_step(four_layers());
  const auto starts = events.places_of("reduce_scatter_v"), backwards = events.places_of("attention_backward");
  ASSERT_EQ(starts.size(), static_cast<size_t>(kLayers + 2));  // head, blocks from the last to the first, embedding
  ASSERT_EQ(backwards.size(), static_cast<size_t>(3 * kLayers));
  const std::vector<size_t> last(backwards.end() - kLayers, backwards.end());
  EXPECT_GT(starts[0], backwards[backwards.size() - kLayers - 1]) << "no unit is reduced before the last microbatch";
  for (size_t unit = 0; unit < last.size(); ++unit) {
    EXPECT_LT(starts[unit], last[unit]) << "the unit above is under way";
    EXPECT_GT(starts[unit + 1], last[unit]) << "the unit itself is not";
  }
  EXPECT_LT(starts[kLayers], events.places_of("embedding_backward").back());
}

TEST(Overlap, TransfersMoveAfterEveryOp) {
  const Events events = events_of_a_step(four_layers());
  EXPECT_GT(events.ops, 100);
  EXPECT_GE(events.progress, events.ops);
}

}  // namespace
}  // namespace birkhoff::test
