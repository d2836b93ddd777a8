#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/optim/adamw.h"
#include "kernels/optim/muon.h"
#include "kernels/optim/sinkhorn_balanced.h"
#include "trainer/nn/parameter_store.h"
#include "trainer/nn/row_store.h"
#include "trainer/optim/options.h"

namespace birkhoff {

// What one update needs besides state: the rate of this step and the factor that clipping gives the gradient.
struct UpdateStep {
  double learning_rate = 0, grad_scale = 1;
  int64_t step = 1;  // counted from 1
};
// What the kernel takes of the options and the step.
AdamWHyper adamw_hyper(const AdamWOptions& options, const UpdateStep& update, double learning_rate, bool decay);

// Number formats of the updates.
struct UpdatePrecision {
  DType moments = DType::f32;
  DType muon_compute = DType::f32;
};

// The rule and the decay of a parameter. Muon takes matrices and experts; AdamW the rest, and everything where muon is
// off. Norm gains, biases and gates have no decay.
struct Assignment {
  OptimizerType rule = OptimizerType::adamw;
  bool decay = false;
};
Assignment assignment_of(const Parameter& parameter, OptimizerType type);
// Cost of an update and where it may be cut between ranks, for the partition (bytes moved; Muon by its FLOPs): AdamW
// anywhere, Muon between matrices of equal size.
ParameterStore::UpdateCost update_cost(const Parameter& parameter, OptimizerType type);

// Updates the parameters that this rank owns. Muon works on whole logical matrices (matrices_of), each expert having
// its own. Sources: kernels/optim/adamw.h, kernels/optim/muon.h.
class DenseOptimizer final {
 public:
  DenseOptimizer(Device device, ParameterStore& parameters, const OptimizerOptions& options,
                 UpdatePrecision precision = {});
  void step(Stream& stream, const UpdateStep& update);
  void state(StateVisitor& visitor);
  size_t bytes() const { return memory_.peak_bytes(); }
  size_t workspace_bytes() const { return workspace_.peak_bytes(); }
  const OptimizerOptions& options() const { return options_; }

 private:
  struct Moments {
    Tensor first, second;  // Muon has no second
  };
  void step_muon(Stream& stream, const ParameterStore::Owned& owned, Tensor momentum, const MuonHyper& hyper);
  void step_scattered(Stream& stream, const MatrixPlace& matrix, MuonArgs parts);

  ParameterStore* parameters_;
  OptimizerOptions options_;
  UpdatePrecision precision_;
  Arena memory_, workspace_;
  std::vector<Moments> moments_;  // as parameters_->owned()
};

// Updates this rank's rows of one Engram table, without weight decay.
class TableOptimizer final {
 public:
  // `matrix_begins`: first rows of the matrices that the balanced update takes the table for; one entry is the whole
  // table.
  TableOptimizer(Device device, ShardedRowStore& table, const OptimizerOptions& options, UpdatePrecision precision = {},
                 std::vector<int64_t> matrix_begins = {0});
  // Collective over the table's group.
  void step(Stream& stream, const UpdateStep& update);
  void state(StateVisitor& visitor);
  size_t bytes() const { return memory_.peak_bytes(); }
  size_t workspace_bytes() const { return workspace_.peak_bytes(); }
  ShardedRowStore& table() const { return *table_; }
  const TableOptions& options() const { return options_; }
  size_t num_matrices() const { return matrix_begins_.size(); }

 private:
  void step_balanced(Stream& stream, const UpdateStep& update);

  ShardedRowStore* table_;
  TableOptions options_;
  AdamWOptions adamw_;
  std::vector<int64_t> matrix_begins_;
  Arena memory_, workspace_;
  Tensor first_, second_;
};

// Which parameter has which optimizer: a line each for parameters, Engram tables and router biases, those that differ
// by the number of their layer alone in one ("layers.[0-3].ffn.up.weight"). No line is left out.
struct OptimizerTableArgs {
  const ParameterStore* parameters = nullptr;
  OptimizerOptions options;
  std::vector<const TableOptimizer*> tables;
  double bias_update_speed = 0;
};
std::string optimizer_table(const OptimizerTableArgs& args);

}  // namespace birkhoff
