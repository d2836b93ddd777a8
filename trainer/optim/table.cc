#include <algorithm>

#include "kernels/elementwise/copy.h"
#include "trainer/optim/optimizer.h"

namespace birkhoff {

TableOptimizer::TableOptimizer(Device device, ShardedRowStore& table, const OptimizerOptions& options,
                               UpdatePrecision precision, std::vector<int64_t> matrix_begins)
    : table_(&table),
      options_(options.engram),
      adamw_(options.adamw),
      matrix_begins_(std::move(matrix_begins)),
      memory_(device),
      workspace_(device) {
  Stream stream{device};
  const Shape shape = table.local_values().shape;
  first_ = memory_.take(precision.moments, shape);
  fill_zero(stream, first_);
  if (options_.update == TableUpdate::sparse_adamw) {
    second_ = memory_.take(precision.moments, shape);
    fill_zero(stream, second_);
  }
}

// Every rank takes part in the update of every matrix, even if it holds none of its rows, because the norms are sums
// over all ranks. The gradient is not clipped, because the update is normalized and does not depend on the gradient's
// size.
void TableOptimizer::step_balanced(Stream& stream, const UpdateStep& u) {
  const SinkhornBalancedHyper hyper{.learning_rate = u.learning_rate * options_.learning_rate_multiplier,
                                    .momentum = options_.beta,
                                    .gamma = options_.gamma,
                                    .threshold = options_.tau,
                                    .eps = options_.eps,
                                    .iterations = static_cast<int>(options_.iterations)};
  const int64_t first = table_->first_row(), local = table_->local_values().shape[0];
  std::function<void(Stream&, Tensor)> all_reduce;  // stays empty on a single rank, where the norms are local
  if (table_->group().size() > 1) {
    all_reduce = [this](Stream& s, Tensor sums) { table_->group().all_reduce(s, sums)->wait(s); };
  }
  for (size_t m = 0; m < matrix_begins_.size(); ++m) {
    const bool last = m + 1 == matrix_begins_.size();
    const int64_t begin = matrix_begins_[m], end = last ? table_->num_rows() : matrix_begins_[m + 1];
    // This rank's rows of the matrix; none if from == to.
    const int64_t from = std::clamp(begin, first, first + local), to = std::clamp(end, first, first + local);
    sinkhorn_balanced(stream, workspace_,
                      {.weight = table_->local_values().rows(from - first, to - from),
                       .momentum = first_.rows(from - first, to - from),
                       .weight_copy = {},
                       .grad = table_->gradient().values,
                       .rows = table_->gradient().rows,
                       .first_row = from,
                       .hyper = hyper,
                       .num_rows = end - begin,
                       .all_reduce = all_reduce});
  }
}

void TableOptimizer::step(Stream& stream, const UpdateStep& u) {
  if (options_.update == TableUpdate::balanced) return step_balanced(stream, u);
  const double rate = u.learning_rate * options_.learning_rate_multiplier;
  adamw_rows(stream, {.weight = table_->local_values(),
                      .m = first_,
                      .v = second_,
                      .weight_copy = {},
                      .grad = table_->gradient().values,
                      .rows = table_->gradient().rows,
                      .first_row = table_->first_row(),
                      .hyper = adamw_hyper(adamw_, u, rate, false)});
}

void TableOptimizer::state(StateVisitor& v) {
  const bool adamw = options_.update == TableUpdate::sparse_adamw;
  v.shard((adamw ? "adamw.m." : "balanced.momentum.") + table_->name(), first_, table_->slice());
  if (adamw) v.shard("adamw.v." + table_->name(), second_, table_->slice());
}

}  // namespace birkhoff
