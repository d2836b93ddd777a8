#include "trainer/bench/subject.h"

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "trainer/bench/timing.h"
#include "trainer/config/layout_rules.h"
#include "trainer/step/build.h"

namespace birkhoff {

int threads_of(const Config& c) { return c.run.threads > 0 ? static_cast<int>(c.run.threads) : num_threads(); }

namespace {

std::unique_ptr<Mesh> make_mesh(Communicator& world, const Config& config) {
  const MeshDegrees layout = check_layout(config, degrees_of(config.parallel), world.size());
  return std::make_unique<Mesh>(world, with_ep_groups(config, layout));
}

}  // namespace

Subject::Subject(Communicator& world, const Config& config, Device device, OpObserver* observer)
    : config_(config),
      mesh_(make_mesh(world, config)),
      num_microbatches_(config.batch.global_batch_size / (config.batch.micro_batch_size * mesh_->degree(Axis::dp))) {
  const int64_t vocab = config.model.vocab_size;
  BK_CHECK(vocab > 0, "model.vocab_size is 0; a benchmark has no tokenizer: set it");
  engram_ = addresses_without_tokenizer(config);
  const EngramHash* hash = engram_ ? &engram_->hash() : nullptr;
  Stream stream{device, nullptr, observer};
  model_ = std::make_unique<Model>(make_model(device, *mesh_, model_options(config, vocab, hash)));
  trainer_ = std::make_unique<Trainer>(stream, *mesh_, *model_, trainer_options(config, hash));
  model_->initialize(stream, static_cast<uint64_t>(config.run.seed));
}

Subject::Time Subject::step(const StepBatch& batch, const std::function<void()>& before_update) {
  Time time;
  const Stopwatch watch;
  trainer_->step(batch, 1e-4, [&] {
    time.gradients = watch.seconds();
    if (before_update) before_update();
  });
  time.step = watch.seconds();
  return time;
}

int64_t Subject::tokens() const {
  return num_microbatches_ * config_.batch.micro_batch_size * config_.batch.sequence_length;
}

Batch Subject::make_microbatch(uint64_t first_token) const {
  const int64_t length = config_.batch.sequence_length;
  Batch b;
  b.num_sequences = config_.batch.micro_batch_size;
  b.sequence_length = length;
  for (int64_t t = 0; t < b.num_tokens(); ++t) {
    const uint64_t at = first_token + static_cast<uint64_t>(t);
    b.tokens.push_back(static_cast<int32_t>(random_.below(at, static_cast<uint64_t>(config_.model.vocab_size))));
    b.positions.push_back(static_cast<int32_t>(t % length));
    b.document_start.push_back(static_cast<int32_t>(t / length * length));
  }
  b.targets.assign(static_cast<size_t>(1 + config_.model.mtp.depth), b.tokens);
  b.loss_weights.assign(b.tokens.size(), 1.0f);
  return b;
}

// The replicas have consecutive shares of the global batch.
StepBatch Subject::make_batch() {
  StepBatch step;
  const auto of_replica = static_cast<uint64_t>(tokens());
  const uint64_t first = drawn_ + of_replica * static_cast<uint64_t>(mesh_->coordinate(Axis::dp));
  const uint64_t of_microbatch = of_replica / static_cast<uint64_t>(num_microbatches_);
  for (int64_t m = 0; m < num_microbatches_; ++m)
    step.microbatches.push_back(make_microbatch(first + of_microbatch * static_cast<uint64_t>(m)));
  step.local_targets.assign(static_cast<size_t>(1 + config_.model.mtp.depth), tokens());
  step.local_tokens = tokens();
  step.global_tokens = tokens() * mesh_->degree(Axis::dp);
  drawn_ += static_cast<uint64_t>(step.global_tokens);
  if (engram_) engram_->fill(step);
  return step;
}

}  // namespace birkhoff
