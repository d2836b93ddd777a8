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
#include "trainer/step/token_split.h"

namespace birkhoff {

struct TrainerOptions {
  OptimizerOptions optimizer;
  UpdatePrecision precision;
  std::vector<std::vector<int64_t>> table_matrix_begins;  // of each Engram table; see TableOptimizer
};

// Runs training steps: this replica's share of the batch, the sums over the replicas, and the update. All ranks of a
// tensor-parallel group pass the same batches.
class Trainer {
 public:
  Trainer(Stream stream, const Mesh& mesh, Model& model, const TrainerOptions& options);

  // Collective. Computes the gradients of this replica's microbatches, sums them over the replicas, and updates the
  // weights. `before_update` is called after the last backward and before any weight changes.
  StepReport step(const StepBatch& replica_batch, double learning_rate,
                  const std::function<void()>& before_update = {});

  // Collective. A step whose gradients and loads lie in the model already: only its update. A proof calls it with those
  // that another layout computed.
  void update_only(double learning_rate, double grad_scale);

  struct Evaluation {
    double nats = 0, tokens = 0;  // sums over this replica's share, the same on all ranks of a tensor-parallel group
  };
  // Collective. The sum of the losses of this replica's share of a batch. Changes no weight.
  Evaluation evaluate(const StepBatch& replica_batch);

  // Whether later steps report the gain of the mixing matrices. It costs a pass over them.
  void measure_gain(bool on) { measures_gain_ = on; }
  // Attaches an instrument to the forwards of later steps and evaluations, or detaches it (null). It must outlive them.
  void set_instrument(Instrument* instrument) {
    instrument_ = instrument;
    gain_.set_next(instrument);
  }
  // A table of the optimizer of each parameter (trainer/optim/optimizer.h).
  std::string optimizer_table() const;
  void state(StateVisitor& visitor);
  int64_t steps_done() const { return steps_; }
  DenseOptimizer& optimizer() { return *dense_; }
  const DenseOptimizer& optimizer() const { return *dense_; }
  const std::vector<std::unique_ptr<TableOptimizer>>& table_optimizers() const { return tables_; }
  size_t peak_activation_bytes() const { return runner_.peak_bytes(); }
  // Of the activations of a microbatch, those outside of layers that a tensor-parallel group divides; see Runner.
  size_t bytes_between_layers() const { return runner_.bytes_between_layers(); }
  // Bytes of optimizer state of the Engram tables.
  size_t table_state_bytes() const;
  // Peak bytes that a step needs besides activations.
  size_t workspace_bytes() const;

 private:
  // The step as this rank computes it: the batch itself, or, if a tensor-parallel group divides the tokens, own_batch_.
  const StepBatch& own_share(const StepBatch& batch);
  // A function that uploads a microbatch and adds the fetched rows of the tables. It refers to both arguments.
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
  TokenSplit split_;
  StepBatch own_batch_;
  std::unique_ptr<DenseOptimizer> dense_;
  std::vector<std::unique_ptr<TableOptimizer>> tables_;
  SpikeDetector spike_;
  Runner runner_;
  Arena step_arena_;  // fetched rows, their gradients, sums of squares, gains
  TableRows table_rows_;
  bool measures_gain_ = false;
  Instrument* instrument_ = nullptr;
  GainMeter gain_;
  std::vector<TensorSum> sums_;
  int64_t steps_ = 0, updates_ = 0;
};

}  // namespace birkhoff
