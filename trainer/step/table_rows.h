#pragma once
#include <memory>
#include <vector>

#include "data/loader/batch.h"
#include "trainer/nn/row_store.h"

namespace birkhoff {

// The rows of each Engram table that a replica's microbatches look up in a step, and their gradients. Both are valid
// until the next fetch().
class TableRows {
 public:
  using Tables = std::vector<std::unique_ptr<ShardedRowStore>>;
  explicit TableRows(Tables& tables) : tables_(&tables) {}

  // Collective. Resets `memory`, fetches into it the rows of the whole step, each once, and sets their gradients to
  // zero. `padding_row`: behind them follows a row of zeros, which padding looks up and which belongs to no table.
  void fetch(Stream& stream, Arena& memory, const StepBatch& batch, bool padding_row = false);
  // Collective. Sends the gradients to the ranks that hold the rows.
  void return_gradients(Stream& stream, const StepBatch& batch);

  const std::vector<Tensor>& rows() const { return rows_; }
  const std::vector<Tensor>& gradients() const { return gradients_; }

 private:
  Tables* tables_;
  std::vector<Tensor> rows_, gradients_;
};

}  // namespace birkhoff
