#pragma once
// Builds a small model from a config, as a run does, and measures how one step changes it.
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/thread_world.h"
#include "trainer/config/config.h"
#include "trainer/step/build.h"

namespace birkhoff {

inline std::vector<int32_t> identity(int64_t count) {
  std::vector<int32_t> map(static_cast<size_t>(count));
  std::iota(map.begin(), map.end(), 0);
  return map;
}

class Built {
 public:
  explicit Built(const Config& c)
      : stream_{device_of(c)},
        addresses_(addresses_of(c)),
        world_(make_thread_world(1)),
        mesh_(*world_[0], {}),
        model_(make_model(stream_.device, mesh_, model_options(c, 19, hash()))),
        trainer_(stream_, mesh_, model_, trainer_options(c, hash())),
        depths_(1 + c.model.mtp.depth),
        rate_(LearningRate(c.optimizer.schedule, c.run.steps).at(0)) {
    model_.initialize(stream_, 1);
  }

  struct Change {
    double weights = 0, table = 0, bias = 0;  // norms
    StepReport report;
  };
  Change step() {
    const std::vector<std::vector<double>> before = values();
    Change change;
    change.report = trainer_.step(batch(), rate_);
    const std::vector<std::vector<double>> after = values();
    double* const norms[] = {&change.weights, &change.table, &change.bias};
    for (size_t kind = 0; kind < 3; ++kind) {
      for (size_t i = 0; i < before[kind].size(); ++i) *norms[kind] += std::pow(after[kind][i] - before[kind][i], 2);
      *norms[kind] = std::sqrt(*norms[kind]);
    }
    return change;
  }

  // All values of the parameters, of the Engram table, and of the router biases.
  std::vector<std::vector<double>> values() {
    std::vector<std::vector<double>> all(3);
    auto add = [&](size_t kind, Tensor t) {
      const std::vector<double> more = read_values(stream_, t);
      all[kind].insert(all[kind].end(), more.begin(), more.end());
    };
    for (const auto& e : model_.parameters->entries()) add(0, e.parameter->value);
    for (const auto& table : model_.tables) add(1, table->local_values());
    for (const PersistentBuffer* b : model_.parameters->buffers()) add(2, b->value);
    return all;
  }

 private:
  static std::unique_ptr<EngramAddresses> addresses_of(const Config& c) {
    if (c.model.engram.layers.empty()) return nullptr;
    return std::make_unique<EngramAddresses>(engram_hash_spec(c, 19, 0), identity(19));
  }
  const EngramHash* hash() const { return addresses_ ? &addresses_->hash() : nullptr; }
  StepBatch batch() const {
    Batch b;
    b.num_sequences = 2;
    b.sequence_length = 8;
    const Philox random(1, 2);
    for (uint64_t t = 0; t < 16; ++t) {
      b.tokens.push_back(static_cast<int32_t>(random.below(2 * t, 19)));
      b.positions.push_back(static_cast<int32_t>(t % 8));
      b.document_start.push_back(static_cast<int32_t>(t / 8 * 8));
    }
    b.targets.assign(static_cast<size_t>(depths_), {b.tokens.rbegin(), b.tokens.rend()});
    b.loss_weights.assign(16, 1.0f);
    StepBatch step;
    step.microbatches.push_back(std::move(b));
    step.local_targets.assign(static_cast<size_t>(depths_), 16);
    if (addresses_) addresses_->fill(step);
    return step;
  }

  Stream stream_;
  std::unique_ptr<EngramAddresses> addresses_;  // null if the model has no Engram layer
  std::vector<std::unique_ptr<Communicator>> world_;
  Mesh mesh_;
  Model model_;
  Trainer trainer_;
  int64_t depths_;
  double rate_;
};

}  // namespace birkhoff
