#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "data/loader/loader.h"
#include "data/loader/mixture.h"
#include "data/loader/stream.h"
#include "data/shard/shard_set.h"

namespace birkhoff {

// The opened and checked sources of a mixture. Determines which sequence comes next, and reads the text of documents.
// Not thread safe.
class Sources {
 public:
  explicit Sources(const LoaderOptions& options);

  // The cursor at the beginning of a run, and the one to resume from. Errors: see Loader.
  Cursor begin() const;
  Cursor resume(const Cursor& cursor, MixtureChange change) const;
  // Returns the pieces of the next sequence, and advances the cursor past it.
  std::vector<DocumentPiece> next_sequence(int64_t length, Cursor& cursor);
  // The text of the document of a piece. Valid until another document of the same source is requested.
  const TextSample& document(const DocumentPiece& piece);
  int32_t begin_token(const DocumentPiece& piece) const;
  int64_t bad_samples() const { return static_cast<int64_t>(bad_.size()); }

 private:
  struct Source {
    std::string name;
    ShardSet shards;
    SourceStream stream;
    int64_t cached_document = -1;  // whose text is in `text`
    TextSample text;

    Source(const SourceOptions& options, const std::string& split, uint64_t seed);
  };
  TextSample read(int32_t source, int64_t document);

  std::vector<std::unique_ptr<Source>> sources_;
  Mixture mixture_;
  uint64_t digest_ = 0, content_digest_ = 0;
  BadData policy_;
  int64_t max_bad_;
  std::set<std::pair<int32_t, int64_t>> bad_;
};

// The key that identifies a source in a cursor.
uint32_t cursor_key(const std::string& name);

// Throws a DataError if a dataset does not fit the model.
void check_dataset(const std::filesystem::path& directory, const DatasetManifest& manifest, int64_t vocab_size,
                   const std::string& tokenizer_digest);

}  // namespace birkhoff
