#pragma once
#include "trainer/config/setting.h"

namespace birkhoff {

enum class OptimizerType { adamw, muon };
inline EnumNames names_of(OptimizerType) {
  static constexpr std::string_view names[] = {"adamw", "muon"};
  return names;
}

enum class ScheduleType { constant, linear, cosine };
inline EnumNames names_of(ScheduleType) {
  static constexpr std::string_view names[] = {"constant", "linear", "cosine"};
  return names;
}

enum class TableUpdate { balanced, sparse_adamw };
inline EnumNames names_of(TableUpdate) {
  static constexpr std::string_view names[] = {"balanced", "sparse_adamw"};
  return names;
}

enum class TableGranularity { table, head };
inline EnumNames names_of(TableGranularity) {
  static constexpr std::string_view names[] = {"table", "head"};
  return names;
}

struct MuonConfig {
  double momentum = 0.95;
  double rms_scale = 0.18;

  void visit(SettingList& s) {
    s("momentum", momentum, Limits{0, 0.9999}, "decay of the running gradient");
    s("rms_scale", rms_scale, Limits{0, 100}, "root mean square of an update at learning rate 1");
  }
  bool operator==(const MuonConfig&) const = default;
};

struct EngramOptimizerConfig {
  TableUpdate update = TableUpdate::balanced;
  double learning_rate_multiplier = 5;
  TableGranularity granularity = TableGranularity::table;
  double beta = 0.95;
  double gamma = 0.18;
  double tau = 1e-3;
  int64_t iterations = 11;
  double eps = 1e-20;

  void visit(SettingList& s) {
    s("update", update,
      "balanced: momentum and Sinkhorn normalization of rows and columns; sparse_adamw: touched rows only");
    s("learning_rate_multiplier", learning_rate_multiplier, Limits{0, 1000}, "times the learning rate; no weight decay")
        .free();
    s("granularity", granularity, "balanced: one matrix per table, or one per order and head");
    s("beta", beta, Limits{0, 0.9999}, "balanced: decay of the momentum");
    s("gamma", gamma, Limits{0, 100}, "balanced: root mean square of an update at learning rate 1");
    s("tau", tau, Limits{0, 1}, "balanced: rows below tau times the mean norm stay");
    s("iterations", iterations, Limits{1, 101}, "balanced: normalizations, odd ones of rows, even ones of columns");
    s("eps", eps, Limits{0, 1}, "balanced: added to the norms");
  }
  bool operator==(const EngramOptimizerConfig&) const = default;
};

struct SpikeConfig {
  double z_score = 0;
  int64_t window = 128;
  bool skip = true;

  void visit(SettingList& s) {
    s("z_score", z_score, Limits{0, 1e6}, "standard deviations above the mean that make a loss a spike; 0: no detector")
        .free();
    s("window", window, Limits{2, 100000}, "steps whose losses give mean and deviation").free();
    s("skip", skip, "leave the weights as they are in a step whose loss is a spike; otherwise only warn").free();
  }
  bool operator==(const SpikeConfig&) const = default;
};

struct OptimizerConfig {
  OptimizerType type = OptimizerType::adamw;
  double learning_rate = 3e-4;
  double min_learning_rate = 0;
  ScheduleType schedule = ScheduleType::cosine;
  int64_t warmup_steps = 0;
  int64_t constant_steps = 0;
  int64_t decay_steps = 0;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
  double clip_norm = 1;
  int64_t max_nonfinite_steps = 10;
  int64_t max_nonfinite_in_window = 50;
  int64_t nonfinite_window = 1000;
  MuonConfig muon;
  EngramOptimizerConfig engram;
  SpikeConfig spike;

  void visit(SettingList& s) {
    s("type", type, "adamw for everything, or muon for the matrices of the blocks and adamw for the rest");
    s("learning_rate", learning_rate, Limits{0, 1}, "peak rate, reached after warmup_steps").free();
    s("min_learning_rate", min_learning_rate, Limits{0, 1}, "rate at the end of the decay and after it").free();
    s("schedule", schedule, "shape of the decay after warm-up and constant phase").free();
    s("warmup_steps", warmup_steps, Limits{0, 1e12}, "steps of linear warm-up").free();
    s("constant_steps", constant_steps, Limits{0, 1e12}, "steps at the peak rate before the decay").free();
    s("decay_steps", decay_steps, Limits{0, 1e12}, "steps of the decay; 0: up to run.steps").free();
    s("beta1", beta1, Limits{0, 0.9999}, "decay of the first moment");
    s("beta2", beta2, Limits{0, 0.99999}, "decay of the second moment");
    s("eps", eps, Limits{0, 1}, "added to the root of the second moment");
    s("weight_decay", weight_decay, Limits{0, 1}, "decoupled decay; biases, norms and Engram tables are exempt").free();
    s("clip_norm", clip_norm, Limits{0, 1e9}, "largest norm of the whole gradient; 0: no clipping").free();
    s("max_nonfinite_steps", max_nonfinite_steps, Limits{1, 1e6},
      "steps in a row that were skipped (loss or gradient not finite, or a spike) after which the run stops with exit "
      "code 5")
        .free();
    s("max_nonfinite_in_window", max_nonfinite_in_window, Limits{1, 1e6},
      "steps of the last nonfinite_window that were skipped, after which the run stops with exit code 5; more than the "
      "window: no such limit")
        .free();
    s("nonfinite_window", nonfinite_window, Limits{1, 1e6}, "steps in which those that were skipped are counted")
        .free();
    s.section("muon", muon, "Orthogonalized momentum.");
    s.section("engram", engram, "Update of the Engram tables.");
    s.section("spike", spike, "Detector of loss spikes.");
  }
  bool operator==(const OptimizerConfig&) const = default;
};

}  // namespace birkhoff
