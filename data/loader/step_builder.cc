#include "data/loader/step_builder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "data/loader/engram_addresses.h"
#include "kernels/core/error.h"

namespace birkhoff {

void StepBuilder::check(const StepShape& s) const {
  BK_CHECK(s.global_sequences > 0 && s.microbatch_sequences > 0 && s.sequence_length > 0, "a step of ",
           s.global_sequences, " sequences in microbatches of ", s.microbatch_sequences, ", each of length ",
           s.sequence_length, ", is empty");
  BK_CHECK(s.global_sequences % (s.microbatch_sequences * options_.num_replicas) == 0, "a global batch of ",
           s.global_sequences, " sequences does not divide into microbatches of ", s.microbatch_sequences, " for ",
           options_.num_replicas, " replicas; make it a multiple of ", s.microbatch_sequences * options_.num_replicas);
}

StepBatch StepBuilder::build(const StepShape& shape, Cursor cursor) {
  StepBatch step;
  const int64_t per_replica = shape.global_sequences / options_.num_replicas;
  const int64_t begin = options_.replica * per_replica;
  std::optional<BatchBuilder> builder;
  for (int64_t i = 0; i < shape.global_sequences; ++i) {
    const int64_t sample_id = cursor.sequences;
    // Every replica advances the cursor over the whole global batch, but reads only its own documents.
    const std::vector<DocumentPiece> pieces = sources_.next_sequence(shape.sequence_length, cursor);
    if (i < begin || i >= begin + per_replica) continue;
    if (!builder) builder.emplace(shape.microbatch_sequences, shape.sequence_length, options_.mtp_depth);
    builder->begin_sequence(sample_id);
    for (const DocumentPiece& piece : pieces)
      builder->append(piece, sources_.document(piece), sources_.begin_token(piece));
    if ((i - begin + 1) % shape.microbatch_sequences != 0) continue;
    step.microbatches.push_back(builder->finish());
    builder.reset();
  }
  count_tokens(step);
  step.global_tokens = shape.global_sequences * shape.sequence_length;
  step.consumed_sequences = cursor.sequences;
  step.consumed_tokens = cursor.tokens;
  step.bad_samples = sources_.bad_samples();
  step.cursor = std::move(cursor);
  if (options_.engram) options_.engram->fill(step);
  return step;
}

void count_tokens(StepBatch& step) {
  step.local_tokens = 0;
  step.local_targets.clear();
  for (const Batch& batch : step.microbatches) {
    step.local_tokens += batch.num_tokens();
    step.local_targets.resize(batch.targets.size());
    for (size_t d = 0; d < batch.targets.size(); ++d)
      step.local_targets[d] +=
          std::count_if(batch.targets[d].begin(), batch.targets[d].end(), [](int32_t target) { return target >= 0; });
  }
}

}  // namespace birkhoff
