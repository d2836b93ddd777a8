// The parts of Trainer that describe it between steps: the table of its optimizers, and its memory.
#include "trainer/step/trainer.h"

namespace birkhoff {

std::string Trainer::optimizer_table() const {
  OptimizerTableArgs args{
      model_->parameters.get(), dense_->options(), {}, model_->decoder->options().moe.bias_update_speed};
  for (const auto& table : tables_) args.tables.push_back(table.get());
  return birkhoff::optimizer_table(args);
}

size_t Trainer::table_state_bytes() const {
  size_t sum = 0;
  for (const auto& table : tables_) sum += table->bytes();
  return sum;
}

size_t Trainer::workspace_bytes() const {
  size_t sum = step_arena_.peak_bytes() + dense_->workspace_bytes();
  for (const auto& table : tables_) sum += table->workspace_bytes();
  return sum;
}

}  // namespace birkhoff
