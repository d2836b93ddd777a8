#pragma once
#include "trainer/config/setting.h"

namespace birkhoff {

struct BatchRampConfig {
  int64_t initial_size = 0;
  int64_t increment = 0;
  int64_t steps = 0;

  void visit(SettingList& s) {
    s("initial_size", initial_size, Limits{0, 1e9}, "sequences of the first step; 0: no ramp");
    s("increment", increment, Limits{0, 1e9}, "sequences the batch grows by at a time; with a ramp at least 1");
    s("steps", steps, Limits{0, 1e12}, "steps after which the batch has its full size");
  }
  bool operator==(const BatchRampConfig&) const = default;
};

struct LengthPhaseConfig {
  int64_t until_step = 0;
  int64_t sequence_length = 0;

  void visit(SettingList& s) {
    s("until_step", until_step, Limits{1, 1e12}, "first step that no longer has this length");
    s("sequence_length", sequence_length, Limits{1, 1e9}, "tokens a sequence has until then");
  }
  bool operator==(const LengthPhaseConfig&) const = default;
};

struct BatchConfig {
  int64_t micro_batch_size = 1;
  int64_t global_batch_size = 12;
  int64_t sequence_length = 1024;
  BatchRampConfig ramp;
  std::vector<LengthPhaseConfig> length_schedule;

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
