#include "trainer/plan/model_memory.h"

#include <algorithm>

#include "kernels/loss/head_loss.h"

namespace birkhoff {
namespace {

class WorkingCopies final : public ModuleVisitor {
 public:
  void working_copies(size_t bytes) override { total += static_cast<int64_t>(bytes); }
  int64_t total = 0;
};

// The number of rows that the matrix product for the gradient of `p` sums over, or 0 if no matrix product computes this
// gradient. Both operands, the inputs and the gradient of the outputs, have this many rows.
int64_t rows_of_product(const Parameter& p, const DecoderOptions& o, int64_t tokens) {
  const bool head = p.role == Role::head || (o.tie_embeddings && p.shape[0] == o.vocab_size);
  if (p.shape.rank() < 2 || (p.role == Role::embedding && !head)) return 0;
  // The head and its loss process only some of the rows at a time.
  if (head) return std::min(tokens, head_loss_rows(o.vocab_size));
  return p.role == Role::experts ? tokens * o.moe.top_k : tokens;
}

}  // namespace

int64_t packed_weight_bytes(const Model& model) {
  WorkingCopies copies;
  model.decoder->visit(copies);
  return copies.total;
}

int64_t kernel_scratch_bytes(const Model& model, int64_t tokens) {
  const auto element = static_cast<int64_t>(size_of(model.build.precision.activation()));
  int64_t most = 0;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    const Parameter& p = *e.parameter;
    const int64_t rows = rows_of_product(p, model.decoder->options(), tokens);
    const Shape& held = p.value.shape;
    if (rows > 0) most = std::max(most, element * rows * (held.back() + held[held.rank() - 2]));
  }
  return most;
}

}  // namespace birkhoff
