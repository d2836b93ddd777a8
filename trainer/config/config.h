#pragma once
// All settings of a run, as plain values. The sections of modules are the options structs of these modules. reader.h
// reads them from a file.
#include "trainer/config/batch.h"
#include "trainer/config/checkpoint.h"
#include "trainer/config/data.h"
#include "trainer/config/eval.h"
#include "trainer/config/metrics.h"
#include "trainer/config/parallel.h"
#include "trainer/config/precision.h"
#include "trainer/config/run.h"
#include "trainer/models/decoder_options.h"
#include "trainer/optim/options.h"

namespace birkhoff {

struct Config {
  RunConfig run;
  DecoderOptions model;
  ParallelConfig parallel;
  PrecisionConfig precision;
  OptimizerOptions optimizer;
  BatchConfig batch;
  DataConfig data;
  CheckpointConfig checkpoint;
  EvalConfig eval;
  MetricsConfig metrics;

  void visit(SettingList& s) {
    s.section("run", run, "The run as a whole.");
    s.section("model", model, "The model.");
    s.section("parallel", parallel, "How ranks share the work. The number of ranks is dp * tp * pp * cp.");
    s.section("precision", precision, "Number formats.");
    if (run.device == DeviceKind::reference) s.mark_unused("precision.moments", "run.device is reference");
    s.section("optimizer", optimizer, "Optimizer, learning rate, gradient clipping and the limits on skipped steps.");
    if (model.engram.layers.empty()) s.mark_unused("optimizer.engram", "model.engram.layers is empty");
    s.section("batch", batch, "Sizes of the batch of a step.");
    s.section("data", data, "Training data.");
    s.section("checkpoint", checkpoint, "Saving checkpoints and resuming from them.");
    s.section("eval", eval, "Held-out evaluation.");
    s.section("metrics", metrics, "Logs and metrics.");
  }
  bool operator==(const Config&) const = default;
};

// The settings of `config`, in print order. They point into `config`, so they become invalid when it is destroyed and
// when one of its lists changes its length.
inline SettingList settings_of(Config& config) {
  SettingList list;
  config.visit(list);
  return list;
}

}  // namespace birkhoff
