#pragma once
#include <memory>

#include "data/loader/engram_addresses.h"
#include "trainer/config/config.h"

namespace birkhoff {

// The batches of a proof. They need neither a dataset nor a tokenizer: documents of random tokens and odd lengths,
// among them some of a single token and some that fill a sequence, with masked tokens, so that every microbatch has
// another number of targets. Everything is a function of the seed, the step and the number of the sequence in the
// global batch, so it does not depend on the layout.
class DrawnDocuments {
 public:
  // `engram` may be null if the model has no Engram layer.
  DrawnDocuments(const Config& config, uint64_t seed, std::shared_ptr<const EngramAddresses> engram);
  // The share of one replica in a step.
  StepBatch share(int64_t step, int replica, int replicas) const;

 private:
  Config config_;
  uint64_t seed_;
  std::shared_ptr<const EngramAddresses> engram_;
};

}  // namespace birkhoff
