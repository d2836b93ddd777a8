#pragma once
#include <functional>
#include <memory>

#include "data/loader/engram_addresses.h"
#include "kernels/core/philox.h"
#include "trainer/config/config.h"
#include "trainer/step/trainer.h"

namespace birkhoff {

int threads_of(const Config& config);

// The model and trainer of one rank of the config's layout that a scenario times, fed with random tokens of its
// vocabulary. A step processes the share of the rank's replica in the global batch. The tokens of the global batch
// depend on the number of the step alone, so they are the same in every layout.
// Errors: UserError if model.vocab_size is 0, or if the ranks of `world` cannot have the layout of the config.
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
  const Mesh& mesh() const { return *mesh_; }
  Model& model() { return *model_; }
  Trainer& trainer() { return *trainer_; }
  int64_t parameters() const { return model_->parameters->num_parameters(); }
  int64_t tokens() const;  // tokens of this replica per step

 private:
  Batch make_microbatch(uint64_t first_token) const;

  Config config_;
  std::unique_ptr<Mesh> mesh_;
  int64_t num_microbatches_;  // of this replica
  std::shared_ptr<const EngramAddresses> engram_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Trainer> trainer_;
  Philox random_{1, 2};
  uint64_t drawn_ = 0;  // tokens of the global batches so far
};

}  // namespace birkhoff
