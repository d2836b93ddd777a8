#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/loader/batch.h"
#include "data/loader/permutation.h"
#include "data/shard/shard_set.h"

namespace birkhoff {

// The endless stream of one source: each epoch is a new permutation of all documents, and the stream is cut wherever
// the caller asks. It needs only the lengths of the documents; the owner of the pieces reads their text.
class SourceStream {
 public:
  SourceStream(ShardSet& shards, uint64_t seed, uint64_t key) : shards_(&shards), seed_(seed), key_(key) {}
  // Returns the pieces of the next `length` inputs, and advances the cursor past them.
  std::vector<DocumentPiece> take(int64_t length, SourceCursor& cursor);
  // Whether the offset of the cursor lies within its document.
  bool has(const SourceCursor& cursor) { return cursor.offset < shards_->num_tokens(document_at(cursor)); }
  // Adapts a cursor that belongs to another order of documents. If its offset lies beyond the end of the document,
  // moves it to the first input of the document. If its document does not exist, moves it to the first document of the
  // next epoch.
  void fit(SourceCursor& cursor);

 private:
  int64_t document_at(const SourceCursor& cursor);

  ShardSet* shards_;
  uint64_t seed_, key_;
  int64_t epoch_ = -1;
  std::optional<Permutation> order_;  // the permutation of epoch_
};

// Assembles one microbatch from the pieces of its sequences. The first `context` inputs of a piece are not scored.
class BatchBuilder {
 public:
  BatchBuilder(int64_t num_sequences, int64_t sequence_length, int mtp_depth);
  void begin_sequence(int64_t sample_id);
  void append(const DocumentPiece& piece, const TextSample& document, int32_t begin_token, int64_t context = 0);
  // Fills the rest of the batch with masked tokens. The padding of each sequence counts as one document.
  void pad(int32_t token);
  Batch finish();

 private:
  Batch batch_;
  int64_t padded_from_ = -1;
};

}  // namespace birkhoff
