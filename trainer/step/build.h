#pragma once
// Turns a Config into the options of model and trainer, which do not know the Config.
#include <memory>

#include "data/loader/batch.h"
#include "data/loader/engram_addresses.h"
#include "trainer/config/config.h"
#include "trainer/optim/schedule.h"
#include "trainer/step/model.h"
#include "trainer/step/trainer.h"

namespace birkhoff {

Device device_of(const Config& config);

// The specification of the Engram tables and of their hashing. `compressed_vocab` and `pad` (a compressed id) come from
// the tokenizer. The numbers of rows do not depend on these two.
EngramHashSpec engram_hash_spec(const Config& config, int64_t compressed_vocab, int64_t pad);

// The rows that the tokens look up, for a model without a tokenizer: every token is its own compressed id. Null if the
// model has no Engram layer. model.vocab_size must be set.
std::shared_ptr<const EngramAddresses> addresses_without_tokenizer(const Config& config);

// `engram` may be null if the model has no Engram layer.
ModelOptions model_options(const Config& config, int64_t vocab_size, const EngramHash* engram);
TrainerOptions trainer_options(const Config& config, const EngramHash* engram);

// Sizes of the step after `steps_done` finished steps.
StepShape step_shape(const Config& config, int64_t steps_done);

}  // namespace birkhoff
