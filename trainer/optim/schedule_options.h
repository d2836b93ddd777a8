#pragma once
#include "trainer/setting/setting.h"

namespace birkhoff {

enum class ScheduleType : uint8_t { constant, linear, cosine };
inline EnumNames names_of(ScheduleType) {
  static constexpr std::string_view names[] = {"constant", "linear", "cosine"};
  return names;
}

// The learning rate over the steps of a run. The settings appear directly in the section `optimizer`.
struct ScheduleOptions {
  double learning_rate = 3e-4;
  double min_learning_rate = 0;
  ScheduleType type = ScheduleType::cosine;
  int64_t warmup_steps = 0;
  int64_t constant_steps = 0;
  int64_t decay_steps = 0;

  void visit(SettingList& s) {
    const auto of_decay = [&](auto add_settings) {
      s.unused_if(type == ScheduleType::constant, "schedule is constant", add_settings);
    };
    s("learning_rate", learning_rate, Limits{0, 1}, "peak rate, reached after warmup_steps").free();
    of_decay([&] {
      s("min_learning_rate", min_learning_rate, Limits{0, 1}, "rate at the end of the decay and after it").free();
    });
    s("schedule", type, "shape of the decay after warm-up and constant phase").free();
    s("warmup_steps", warmup_steps, Limits{0, 1e12}, "steps of linear warm-up").free();
    of_decay([&] {
      s("constant_steps", constant_steps, Limits{0, 1e12}, "steps at the peak rate before the decay").free();
      s("decay_steps", decay_steps, Limits{0, 1e12}, "steps of the decay; 0: up to run.steps").free();
    });
  }
  bool operator==(const ScheduleOptions&) const = default;
};

struct BatchRampOptions {
  int64_t initial_size = 0;
  int64_t increment = 0;
  int64_t steps = 0;

  void visit(SettingList& s) {
    s("initial_size", initial_size, Limits{0, 1e9}, "sequences of the first step; 0: no ramp");
    s.unused_if(initial_size == 0, "initial_size is 0", [&] {
      s("increment", increment, Limits{0, 1e9}, "sequences the batch grows by at a time; with a ramp at least 1");
      s("steps", steps, Limits{0, 1e12}, "steps after which the batch has its full size");
    });
  }
  bool operator==(const BatchRampOptions&) const = default;
};

struct LengthPhaseOptions {
  int64_t until_step = 0;
  int64_t sequence_length = 0;

  void visit(SettingList& s) {
    s("until_step", until_step, Limits{1, 1e12}, "first step that no longer has this length");
    s("sequence_length", sequence_length, Limits{1, 1e9}, "tokens a sequence has until then");
  }
  bool operator==(const LengthPhaseOptions&) const = default;
};

}  // namespace birkhoff
