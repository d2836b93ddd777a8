#pragma once
#include <functional>
#include <memory>

#include "data/loader/engram_addresses.h"
#include "kernels/core/philox.h"
#include "trainer/config/config.h"
#include "trainer/step/trainer.h"

namespace birkhoff {

// Addresses of the config's Engram layers where every token is its own compressed id; null without such layers.
std::shared_ptr<const EngramAddresses> plain_addresses(const Config& config);

int threads_of(const Config& config);

// A model with its trainer, fed with random tokens of its vocabulary: what scenarios time. It stands for one replica,
// and its share of the global batch is what that replica does in a step.
// Errors: UserError if model.vocab_size is 0.
class Subject {
 public:
  Subject(Communicator& world, const Config& config, Device device, OpObserver* observer = nullptr);

  struct Time {
    double step = 0;       // all of it
    double gradients = 0;  // until the first change of a weight: forward, backward, sum over the replicas, norm
  };
  Time step(const std::function<void()>& before_update = {}) { return step(make_batch(), before_update); }
  Time step(const StepBatch& batch, const std::function<void()>& before_update = {});
  StepBatch make_batch();

  const Config& config() const { return config_; }
  Model& model() { return *model_; }
  Trainer& trainer() { return *trainer_; }
  int64_t parameters() const { return model_->parameters->num_parameters(); }
  int64_t tokens() const;  // of this replica in a step

 private:
  Batch make_microbatch();

  Config config_;
  std::unique_ptr<Mesh> mesh_;
  int64_t num_microbatches_;
  std::shared_ptr<const EngramAddresses> engram_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Trainer> trainer_;
  Philox random_{1, 2};
  uint64_t drawn_ = 0;
};

}  // namespace birkhoff
