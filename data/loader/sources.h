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

// The sources of a mixture, opened and checked: which sequence comes next, and the text of a document. Not for use by
// two threads at once.
class Sources {
 public:
  explicit Sources(const LoaderOptions& options);

  // Where a run begins, or goes on. UserError, DataError: see Loader.
  Cursor begin() const;
  Cursor resume(const Cursor& cursor, MixtureChange change) const;
  // The pieces of the next sequence; moves the cursor behind it.
  std::vector<DocumentPiece> next_sequence(int64_t length, Cursor& cursor);
  // Kept until another document of the same source is asked for.
  const TextSample& document(const DocumentPiece& piece);
  int32_t begin_token(const DocumentPiece& piece) const;
  int64_t bad_samples() const { return static_cast<int64_t>(bad_.size()); }

 private:
  struct Source {
    std::string name;
    ShardSet shards;
    SourceStream stream;
    int64_t held = -1;
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

// By which a cursor knows a source.
uint32_t cursor_key(const std::string& name);

// Refuses a dataset that does not fit the model. DataError.
void check_dataset(const std::filesystem::path& directory, const DatasetManifest& manifest, int64_t vocab_size,
                   const std::string& tokenizer_digest);

}  // namespace birkhoff
