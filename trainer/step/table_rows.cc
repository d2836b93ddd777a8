#include "trainer/step/table_rows.h"

#include "kernels/elementwise/copy.h"

namespace birkhoff {

void TableRows::fetch(Stream& stream, Arena& memory, const StepBatch& batch, bool padding_row) {
  memory.reset();
  rows_.clear();
  gradients_.clear();
  for (size_t i = 0; i < tables_->size(); ++i) {
    ShardedRowStore& table = *(*tables_)[i];
    const auto count = static_cast<int64_t>(batch.engram_rows.at(i).size());
    const Shape shape{count + (padding_row ? 1 : 0), table.row_width()};
    rows_.push_back(memory.take(DType::f32, shape));
    gradients_.push_back(memory.take(DType::f32, shape));
    table.fetch(stream, batch.engram_rows[i], rows_.back().rows(0, count));
    // Nothing depends on the value, but it must not be 0: the norm of keys of zeros is not finite where its eps is 0.
    if (padding_row) fill(stream, rows_.back().rows(count, 1), 1);
    fill_zero(stream, gradients_.back());
  }
}

void TableRows::return_gradients(Stream& stream, const StepBatch& batch) {
  for (size_t i = 0; i < tables_->size(); ++i) {
    const auto count = static_cast<int64_t>(batch.engram_rows[i].size());
    (*tables_)[i]->add_gradients(stream, batch.engram_rows[i], gradients_[i].rows(0, count));
  }
}

}  // namespace birkhoff
