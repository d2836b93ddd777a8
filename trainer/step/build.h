#pragma once
// From a configuration to what modules take: the one place where the two meet.
#include <memory>
#include <string>
#include <vector>

#include "data/loader/engram_addresses.h"
#include "data/loader/eval_reader.h"
#include "data/loader/loader.h"
#include "trainer/config/config.h"
#include "trainer/optim/schedule.h"
#include "trainer/step/model.h"
#include "trainer/step/trainer.h"

namespace birkhoff {

Device device_of(const Config& config);

// Names the Engram tables. `compressed_vocab` and `pad` (a compressed id) come from the tokenizer; the numbers of rows
// do not depend on them.
EngramHashSpec engram_hash_spec(const Config& config, int64_t compressed_vocab, int64_t pad);

// `engram` may be null where the model has no Engram layer.
ModelOptions model_options(const Config& config, int64_t vocab_size, const EngramHash* engram);
TrainerOptions trainer_options(const Config& config, const EngramHash* engram);

// Sizes of the step that follows `steps_done` finished ones.
StepShape step_shape(const Config& config, int64_t steps_done);
// UserError if the batch ramp gives a step that the replicas do not divide, which would stop the run only then.
void check_step_shapes(const Config& config, int num_replicas);

}  // namespace birkhoff
