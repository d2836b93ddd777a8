#pragma once
#include <functional>
#include <memory>

#include "data/loader/engram_addresses.h"
#include "kernels/core/philox.h"
#include "trainer/config/config.h"
#include "trainer/step/trainer.h"

namespace birkhoff {

int threads_of(const Config& config);

// The model and trainer that a scenario times, fed with random tokens of its vocabulary. It is one replica: a step
// processes the replica's share of the global batch.
// Errors: UserError if model.vocab_size is 0.
class Subject {
 public:
  Subject(Communicator& world, const Config& config, Device device, OpObserver* observer = nullptr);

  struct Time {
    double step = 0;       // the whole step
    double gradients = 0;  // until a weight first changes: forward, backward, sum over the replicas, gradient norm
  };
  Time step(const std::function<void()>& before_update = {}) { return step(make_batch(), before_update); }
  Time step(const StepBatch& batch, const std::function<void()>& before_update = {});
  StepBatch make_batch();

  const Config& config() const { return config_; }
  Model& model() { return *model_; }
  Trainer& trainer() { return *trainer_; }
  int64_t parameters() const { return model_->parameters->num_parameters(); }
  int64_t tokens() const;  // tokens of this replica per step

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
