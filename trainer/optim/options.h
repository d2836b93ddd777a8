#pragma once
#include "trainer/optim/schedule_options.h"

namespace birkhoff {

// The rule by which a parameter is updated. As a setting it chooses the rule for the matrices of the blocks.
enum class OptimizerType : uint8_t { adamw, muon };
inline EnumNames names_of(OptimizerType) {
  static constexpr std::string_view names[] = {"adamw", "muon"};
  return names;
}

enum class TableUpdate : uint8_t { balanced, sparse_adamw };
inline EnumNames names_of(TableUpdate) {
  static constexpr std::string_view names[] = {"balanced", "sparse_adamw"};
  return names;
}

enum class TableGranularity : uint8_t { table, head };
inline EnumNames names_of(TableGranularity) {
  static constexpr std::string_view names[] = {"table", "head"};
  return names;
}

// The settings appear directly in the section `optimizer`.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;

  void visit(SettingList& s) {
    s("beta1", beta1, Limits{0, 0.9999}, "decay of the first moment");
    s("beta2", beta2, Limits{0, 0.99999}, "decay of the second moment");
    s("eps", eps, Limits{0, 1}, "added to the root of the second moment");
    s("weight_decay", weight_decay, Limits{0, 1}, "decoupled decay; biases, norms and Engram tables are exempt").free();
  }
  bool operator==(const AdamWOptions&) const = default;
};

struct MuonOptions {
  double momentum = 0.95;
  double rms_scale = 0.18;

  void visit(SettingList& s) {
    s("momentum", momentum, Limits{0, 0.9999}, "decay of the momentum");
    s("rms_scale", rms_scale, Limits{0, 100}, "root mean square of an update at learning rate 1");
  }
  bool operator==(const MuonOptions&) const = default;
};

struct TableOptions {
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
    s.unused_if(update != TableUpdate::balanced, "update is not balanced", [&] {
      s("granularity", granularity, "balanced: one matrix per table, or one per order and head");
      s("beta", beta, Limits{0, 0.9999}, "balanced: decay of the momentum");
      s("gamma", gamma, Limits{0, 100}, "balanced: root mean square of an update at learning rate 1");
      s("tau", tau, Limits{0, 1}, "balanced: rows below tau times the mean norm stay");
      s("iterations", iterations, Limits{1, 101}, "balanced: normalizations, odd ones of rows, even ones of columns");
      s("eps", eps, Limits{0, 1}, "balanced: added to the norms");
    });
  }
  bool operator==(const TableOptions&) const = default;
};

inline constexpr int64_t kMaxSpikeWindow = 100000;

struct SpikeOptions {
  double z_score = 0;
  int64_t window = 128;
  bool skip = true;

  void visit(SettingList& s) {
    s("z_score", z_score, Limits{0, 1e6}, "standard deviations above the mean that make a loss a spike; 0: no detector")
        .free();
    s.unused_if(z_score == 0, "z_score is 0", [&] {
      s("window", window, Limits{2, double{kMaxSpikeWindow}}, "steps whose losses give mean and deviation").free();
      s("skip", skip, "leave the weights as they are in a step whose loss is a spike; otherwise only warn").free();
    });
  }
  bool operator==(const SpikeOptions&) const = default;
};

struct OptimizerOptions {
  OptimizerType type = OptimizerType::adamw;
  ScheduleOptions schedule;
  AdamWOptions adamw;
  double clip_norm = 1;
  int64_t max_nonfinite_steps = 10;
  int64_t max_nonfinite_in_window = 50;
  int64_t nonfinite_window = 1000;
  MuonOptions muon;
  TableOptions engram;
  SpikeOptions spike;

  void visit(SettingList& s) {
    s("type", type, "adamw for everything, or muon for the matrices of the blocks and adamw for the rest");
    schedule.visit(s);
    adamw.visit(s);
    s("clip_norm", clip_norm, Limits{0, 1e9}, "largest norm of the whole gradient; 0: no clipping").free();
    s("max_nonfinite_steps", max_nonfinite_steps, Limits{1, 1e6},
      "steps in a row that were skipped (loss or gradient not finite, or a spike) after which the run stops with exit "
      "code 5")
        .free();
    s("max_nonfinite_in_window", max_nonfinite_in_window, Limits{1, 1e6},
      "skipped steps among the last nonfinite_window after which the run stops with exit code 5; more than the window: "
      "no such limit")
        .free();
    s("nonfinite_window", nonfinite_window, Limits{1, 1e6}, "steps in which those that were skipped are counted")
        .free();
    s.unused_if(type != OptimizerType::muon, "type is not muon",
                [&] { s.section("muon", muon, "Orthogonalized momentum."); });
    s.section("engram", engram, "Update of the Engram tables.");
    s.section("spike", spike, "Detector of loss spikes.");
  }
  bool operator==(const OptimizerOptions&) const = default;
};

}  // namespace birkhoff
