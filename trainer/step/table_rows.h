#pragma once
#include <memory>
#include <vector>

#include "data/loader/batch.h"
#include "trainer/nn/row_store.h"

namespace birkhoff {

// The rows of every Engram table that a replica's microbatches look up in a step, and their gradients. Both lie in
// `memory` until the next fetch().
class TableRows {
 public:
  using Tables = std::vector<std::unique_ptr<ShardedRowStore>>;
  explicit TableRows(Tables& tables) : tables_(&tables) {}

  // Collective. Gets the rows of the whole step, each once; their gradients start at zero. Empties `memory` first.
  void fetch(Stream& stream, Arena& memory, const StepBatch& batch);
  // Collective. Brings the gradients to the ranks that hold the rows.
  void return_gradients(Stream& stream, const StepBatch& batch);

  const std::vector<Tensor>& rows() const { return rows_; }
  const std::vector<Tensor>& gradients() const { return gradients_; }

 private:
  Tables* tables_;
  std::vector<Tensor> rows_, gradients_;
};

}  // namespace birkhoff
