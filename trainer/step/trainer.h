#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "parallel/mesh/mesh.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/spike.h"
#include "trainer/step/device_batch.h"
#include "trainer/step/gain_meter.h"
#include "trainer/step/model.h"
#include "trainer/step/progress_between_ops.h"
#include "trainer/step/report.h"
#include "trainer/step/runner.h"
#include "trainer/step/sums.h"
#include "trainer/step/table_rows.h"

namespace birkhoff {

struct TrainerOptions {
  OptimizerOptions optimizer;
  UpdatePrecision precision;
  std::vector<std::vector<int64_t>> table_matrix_begins;  // of each Engram table; see TableOptimizer
};

// One replica's share of optimizer steps.
class Trainer {
 public:
  Trainer(Stream stream, const Mesh& mesh, Model& model, const TrainerOptions& options);

  // Collective: gradients of this replica's microbatches, their sum over the replicas, the update. before_update runs
  // between the last backward and the first change of a weight.
  StepReport step(const StepBatch& batch, double learning_rate, const std::function<void()>& before_update = {});

  struct Evaluation {
    double nats = 0, tokens = 0;  // sums over this replica's share
  };
  // Collective. Sum of the losses of a batch, weights unchanged.
  Evaluation evaluate(const StepBatch& batch);

  // Whether the steps from here on report the gain of mixing, which costs a pass over the mixing matrices.
  void measure_gain(bool on) { measures_gain_ = on; }
  // What watches the forwards of the steps from here on; null: nothing. Outlives them.
  void watch(Instrument* instrument) {
    instrument_ = instrument;
    gain_.set_next(instrument);
  }
  // Which parameter has which optimizer.
  std::string optimizer_table() const;
  void state(StateVisitor& visitor);
  int64_t steps_done() const { return steps_; }
  DenseOptimizer& optimizer() { return *dense_; }
  const std::vector<std::unique_ptr<TableOptimizer>>& table_optimizers() const { return tables_; }
  size_t peak_activation_bytes() const { return runner_.peak_bytes(); }
  // What tables' updates keep from step to step; what a step needs besides activations, at its peak.
  size_t table_state_bytes() const;
  size_t workspace_bytes() const;

 private:
  // What uploads a microbatch, with the rows of the tables that it looks up. Valid while its arguments live.
  std::function<BatchView(Arena&, size_t)> batch_uploader(const StepBatch& batch, const Normalizers& normalizers);
  void run_microbatches(const StepBatch& batch, const Normalizers& normalizers);
  void reduce_gradients(const StepBatch& batch);
  void read_decisions(StepReport& report);
  void read_loads_and_gain(StepReport& report);
  void find_nonfinite_place(const StepBatch& batch, const Normalizers& normalizers, StepReport& report);
  void decide(StepReport& report);
  void update(double learning_rate, double grad_scale);

  ProgressBetweenOps between_ops_;
  Stream stream_;
  const Mesh* mesh_;
  Model* model_;
  TrainerOptions options_;
  std::vector<double> depth_weights_;
  std::unique_ptr<DenseOptimizer> dense_;
  std::vector<std::unique_ptr<TableOptimizer>> tables_;
  SpikeDetector spike_;
  Runner runner_;
  Arena step_arena_;  // fetched rows, their gradients, norms
  TableRows table_rows_;
  bool measures_gain_ = false;
  Instrument* instrument_ = nullptr;
  GainMeter gain_;
  std::vector<TensorSum> sums_;
  int64_t steps_ = 0, updates_ = 0;
};

}  // namespace birkhoff
