#include "trainer/step/table_rows.h"

#include "kernels/elementwise/copy.h"

namespace birkhoff {

void TableRows::fetch(Stream& stream, Arena& memory, const StepBatch& batch) {
  memory.reset();
  rows_.clear();
  gradients_.clear();
  for (size_t i = 0; i < tables_->size(); ++i) {
    ShardedRowStore& table = *(*tables_)[i];
    const Shape shape{static_cast<int64_t>(batch.engram_rows.at(i).size()), table.row_width()};
    rows_.push_back(memory.take(DType::f32, shape));
    gradients_.push_back(memory.take(DType::f32, shape));
    table.fetch(stream, batch.engram_rows[i], rows_.back());
    fill_zero(stream, gradients_.back());
  }
}

void TableRows::return_gradients(Stream& stream, const StepBatch& batch) {
  for (size_t i = 0; i < tables_->size(); ++i) {
    (*tables_)[i]->add_gradients(stream, batch.engram_rows[i], gradients_[i]);
  }
}

}  // namespace birkhoff
