#pragma once
#include "trainer/optim/schedule_options.h"

namespace birkhoff {

struct BatchConfig {
  int64_t micro_batch_size = 1;
  int64_t global_batch_size = 12;
  int64_t sequence_length = 1024;
  BatchRampOptions ramp;
  std::vector<LengthPhaseOptions> length_schedule;

  void visit(SettingList& s) {
    s("micro_batch_size", micro_batch_size, Limits{1, 1e6}, "sequences a replica computes at once").free();
    s("global_batch_size", global_batch_size, Limits{1, 1e9}, "sequences of a step, over all replicas")
        .free("later steps consume samples at the new rate");
    s("sequence_length", sequence_length, Limits{1, 1e9}, "tokens of a sequence");
    s.section("ramp", ramp, "Growth of the batch from initial_size to global_batch_size.");
    s.list("length_schedule", length_schedule, "shorter sequences for the first steps, phases in order of until_step");
  }
  bool operator==(const BatchConfig&) const = default;
};

}  // namespace birkhoff
