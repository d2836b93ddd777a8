#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/optim/optimizer.h"
#include "trainer/optim/spike.h"
#include "trainer/step/device_batch.h"
#include "trainer/step/model.h"
#include "trainer/step/progress_between_ops.h"

namespace birkhoff {

struct TrainerOptions {
  double clip_norm = 0;  // 0: none
  double mtp_weight = 0;
  double bias_update_speed = 0;
  DenseOptions dense;
  TableOptions table;  // matrix_begins per table in table_matrix_begins
  std::vector<std::vector<int64_t>> table_matrix_begins;
  SpikeDetector::Options spike;
};

// What a step tells. Equal on all replicas.
struct StepReport {
  double loss = 0;               // of the next token, nats per token
  std::vector<double> mtp_loss;  // per depth, nats per token
  double balance_loss = 0;
  double grad_norm = 0;
  bool skipped = false;
  std::string skip_reason;      // "non-finite", "spike"
  std::string first_nonfinite;  // where it began: "the router logits of layers.1.ffn, microbatch 2, on rank 1"
  double expert_load_max = 0;   // largest load over mean load, over all MoE layers; 0 without
  double expert_load_p95 = 0;   // of the loads of all experts over their layer's mean, the 95th percentile
  double expert_load_min = 0;   // and the smallest
  int64_t dead_experts = 0;     // experts that no token of the step chose
  // Largest gains of the mixing matrices, {forward, backward}, over all microbatches and replicas; nothing for a plain
  // residual, or where measure_gain() is off.
  std::optional<std::pair<double, double>> gain;
};

// One replica's share of optimizer steps.
class Trainer {
 public:
  Trainer(Stream stream, Communicator& replicas, Model& model, const TrainerOptions& options);

  // Collective: gradients of this replica's microbatches, their sum over the replicas, the update. before_update runs
  // between the last backward and the first change of a weight.
  StepReport step(const StepBatch& batch, double learning_rate, const std::function<void()>& before_update = {});

  struct Evaluation {
    double nats = 0, tokens = 0;  // sums over this replica's share
  };
  // Collective. Sum of the losses of a batch, weights unchanged.
  Evaluation evaluate(const StepBatch& batch);

  // Whether the steps from here on report the gain of mixing, which costs a pass over the mixing matrices.
  void measure_gain(bool on) { frame_.keep_combs = on; }
  // Which parameter has which optimizer.
  std::string optimizer_table() const;
  void state(StateVisitor& visitor);
  int64_t steps_done() const { return steps_; }
  const DenseOptimizer& optimizer() const { return *dense_; }
  size_t peak_activation_bytes() const { return frame_.peak_bytes(); }
  // What tables' updates keep from step to step; what a step needs besides activations, at its peak.
  size_t table_state_bytes() const;
  size_t workspace_bytes() const;

 private:
  struct StepRows;
  Normalizers count_targets(const StepBatch& batch);
  void fetch_rows(const StepBatch& batch);
  State run_forward(const Batch& microbatch, const Normalizers& normalizers);
  void run_microbatches(const StepBatch& batch, const Normalizers& normalizers);
  void reduce_gradients(const StepBatch& batch);
  void read_losses(StepReport& report);
  std::vector<double> sums_of_squares();
  std::string name_of_sum(size_t at) const;
  void measure_norm(StepReport& report);
  void read_loads(StepReport& report);
  void add_gain();
  void reduce_gain(StepReport& report);
  void update(double learning_rate, double grad_scale);
  void reduce_counters();

  ProgressBetweenOps between_ops_;
  Stream stream_;
  Communicator* replicas_;
  Model* model_;
  TrainerOptions options_;
  std::vector<double> depth_weights_;
  std::unique_ptr<DenseOptimizer> dense_;
  std::vector<std::unique_ptr<TableOptimizer>> tables_;
  SpikeDetector spike_;
  Frame frame_;
  Arena step_arena_;  // fetched rows, their gradients, norms
  std::vector<Tensor> rows_, row_gradients_;
  std::vector<double> gain_;  // largest of the microbatches so far
  int64_t steps_ = 0, updates_ = 0;
};

}  // namespace birkhoff
