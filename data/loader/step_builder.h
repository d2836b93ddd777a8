#pragma once
#include "data/loader/sources.h"

namespace birkhoff {

// Builds the part of a step that belongs to one replica. The result is a function of the cursor and the shape only.
class StepBuilder {
 public:
  explicit StepBuilder(const LoaderOptions& options) : options_(options), sources_(options) {}
  Sources& sources() { return sources_; }
  // Throws a UserError if the shape is empty or does not divide among microbatches and replicas.
  void check(const StepShape& shape) const;
  StepBatch build(const StepShape& shape, Cursor cursor);

 private:
  LoaderOptions options_;
  Sources sources_;
};

// Computes local_tokens and local_targets of a step from its microbatches.
void count_tokens(StepBatch& step);

}  // namespace birkhoff
