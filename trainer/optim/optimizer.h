#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/optim/adamw.h"
#include "kernels/optim/muon.h"
#include "kernels/optim/sinkhorn_balanced.h"
#include "trainer/nn/parameter_store.h"
#include "trainer/nn/row_store.h"
#include "trainer/optim/divided_muon.h"
#include "trainer/optim/options.h"

namespace birkhoff {

// The scalars of one update. grad_scale is the factor by which gradient clipping multiplies the gradient.
struct UpdateStep {
  double learning_rate = 0, grad_scale = 1;
  int64_t step = 1;  // number of this update, counted from 1
};
// Converts the options and the scalars of the update to those of the kernel.
AdamWHyper adamw_hyper(const AdamWOptions& options, const UpdateStep& update, double learning_rate, bool decay);

// Number formats of optimizer state and of Muon's matrix products.
struct UpdatePrecision {
  DType moments = DType::f32;
  DType muon_compute = DType::f32;
};

// The update rule of a parameter, and whether it has weight decay. With type muon, Muon updates matrices and experts,
// and AdamW the rest; with type adamw, AdamW updates everything. Gains, biases, gates and convolutions have no decay.
struct Assignment {
  OptimizerType rule = OptimizerType::adamw;
  bool decay = false;
};
Assignment assignment_of(const Parameter& parameter, OptimizerType type);
// The cost of an update, and whether ranks may split it only between matrices, for ParameterStore. The unit of cost is
// the update of one element by AdamW.
ParameterStore::UpdateCost update_cost(const Parameter& parameter, OptimizerType type);

// Updates the parameters that this rank owns. Muon works on whole logical matrices (matrices_of); each expert has its
// own. Matrices whose parts lie on several ranks are brought together for it (DividedMuon).
// Sources: kernels/optim/adamw.h, kernels/optim/muon.h.
class DenseOptimizer final {
 public:
  DenseOptimizer(Device device, ParameterStore& parameters, const OptimizerOptions& options,
                 UpdatePrecision precision = {});
  // Collective over the axes that divide matrices of Muon.
  void step(Stream& stream, const UpdateStep& update);
  void state(StateVisitor& visitor);
  size_t bytes() const { return memory_.peak_bytes(); }
  size_t workspace_bytes() const { return workspace_.peak_bytes(); }
  const OptimizerOptions& options() const { return options_; }

 private:
  struct Moments {
    Tensor first, second;  // Muon: the momentum, and no second moment; neither if the matrices are divided
  };
  MuonHyper muon_hyper(const UpdateStep& update) const;
  void step_muon(Stream& stream, const ParameterStore::Owned& owned, Tensor momentum, const MuonHyper& hyper);
  // Updates a matrix that consists of several runs of rows. The tensors of `parts` reach from its first row to its
  // last.
  void step_scattered(Stream& stream, const MatrixPlace& matrix, MuonArgs parts);

  ParameterStore* parameters_;
  OptimizerOptions options_;
  UpdatePrecision precision_;
  Arena memory_, workspace_;
  std::vector<Moments> moments_;  // same order as parameters_->owned()
  DividedMuon divided_;
};

// Updates this rank's rows of one Engram table, without weight decay.
class TableOptimizer final {
 public:
  // `matrix_begins`: the rows at which the matrices of the balanced update begin. With {0}, the whole table is one
  // matrix.
  TableOptimizer(Device device, ShardedRowStore& table, const OptimizerOptions& options, UpdatePrecision precision = {},
                 std::vector<int64_t> matrix_begins = {0});
  // Collective over the table's group.
  void step(Stream& stream, const UpdateStep& update);
  void state(StateVisitor& visitor);
  size_t bytes() const { return memory_.peak_bytes(); }
  size_t workspace_bytes() const { return workspace_.peak_bytes(); }
  ShardedRowStore& table() const { return *table_; }
  const TableOptions& options() const { return options_; }
  const std::vector<int64_t>& matrix_begins() const { return matrix_begins_; }

 private:
  void step_balanced(Stream& stream, const UpdateStep& update);

  ShardedRowStore* table_;
  TableOptions options_;
  AdamWOptions adamw_;
  std::vector<int64_t> matrix_begins_;
  Arena memory_, workspace_;
  Tensor first_, second_;
};

// The table that shows which optimizer updates which parameter: one line for each parameter, Engram table and router
// bias. Lines that differ only in the number of the layer are joined ("layers.[0-3].ffn.up.weight"), so nothing is left
// out.
struct OptimizerTableArgs {
  const ParameterStore* parameters = nullptr;
  OptimizerOptions options;
  std::vector<const TableOptimizer*> tables;
  double bias_update_speed = 0;
};
std::string optimizer_table(const OptimizerTableArgs& args);

}  // namespace birkhoff
