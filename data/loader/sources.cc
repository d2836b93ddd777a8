#include "data/loader/sources.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "kernels/core/hash.h"
#include "kernels/core/philox.h"

namespace birkhoff {
namespace {

std::vector<double> weights_of(const std::vector<SourceOptions>& sources) {
  std::vector<double> weights;
  for (const SourceOptions& source : sources) weights.push_back(source.weight);
  return weights;
}

}  // namespace

uint32_t cursor_key(const std::string& name) { return static_cast<uint32_t>(key_of(name)); }

void check_dataset(const std::filesystem::path& directory, const DatasetManifest& manifest, int64_t vocab_size,
                   const std::string& tokenizer_digest) {
  if (manifest.vocab_size > vocab_size)
    throw DataError(concat(directory.string(), ": its vocabulary of ", manifest.vocab_size,
                           " does not fit the model's of ", vocab_size));
  if (!tokenizer_digest.empty() && manifest.tokenizer_digest != tokenizer_digest)
    throw DataError(concat(directory.string(), ": made with another tokenizer: expected ", tokenizer_digest, ", found ",
                           manifest.tokenizer_digest));
}

Sources::Source::Source(const SourceOptions& options, const std::string& split, uint64_t seed)
    : name(options.name), shards(options.directory, split), stream(shards, seed, key_of(options.name)) {}

Sources::Sources(const LoaderOptions& options)
    : mixture_(weights_of(options.sources)), policy_(options.bad_samples), max_bad_(options.max_bad_samples) {
  Hasher digest, content;
  const auto add = [&digest](const auto& value) { digest.update(&value, sizeof value); };
  add(options.seed);
  std::set<uint32_t> keys;
  for (const SourceOptions& source : options.sources) {
    BK_CHECK(keys.insert(cursor_key(source.name)).second, "two sources of the mixture are named '", source.name,
             "' (or their names hash alike); rename one");
    sources_.push_back(std::make_unique<Source>(source, options.split, options.seed));
    const DatasetManifest& manifest = sources_.back()->shards.manifest();
    const SplitManifest& split = manifest.split(options.split);
    check_dataset(source.directory, manifest, options.vocab_size, options.tokenizer_digest);
    if (source.weight > 0 && split.num_tokens == 0)
      throw DataError(concat("source '", source.name, "': split '", options.split, "' of ", source.directory.string(),
                             " is empty; give it weight 0 or remove it"));
    add(key_of(source.name));
    add(source.weight);
    add(split.num_samples);
    add(split.num_tokens);
    const uint64_t documents = sources_.back()->shards.content_digest();
    content.update(&documents, sizeof documents);
    content.update(&manifest.begin_token, sizeof manifest.begin_token);  // it is an input, but not stored in the shards
  }
  digest_ = digest.digest();
  content_digest_ = std::max<uint64_t>(content.digest(), 1);  // 0 means that it is not known
}

Cursor Sources::begin() const {
  Cursor cursor;
  cursor.order_digest = digest_;
  cursor.content_digest = content_digest_;
  for (const auto& source : sources_) cursor.sources.push_back({cursor_key(source->name), 0, 0, 0, 0});
  return cursor;
}

Cursor Sources::resume(const Cursor& from, MixtureChange change) const {
  Cursor cursor = from;
  cursor.content_digest = content_digest_;
  const bool same_content = from.content_digest == 0 || from.content_digest == content_digest_;
  if (from.order_digest == digest_ && !same_content && change == MixtureChange::refuse)
    throw DataError(
        concat("the documents of the data sources are not those that the run read before, or lie in another "
               "order (content ",
               hex16(from.content_digest), ", now ", hex16(content_digest_),
               "), though their numbers are equal; restore the folders, or set data.mixture_change to "
               "restart"));
  if (from.order_digest != digest_ || !same_content) {
    BK_CHECK(change == MixtureChange::restart, "the data cursor (order ", hex16(from.order_digest),
             ") belongs to another seed, mixture or dataset than the config (order ", hex16(digest_),
             "); restore them, give a source whose folder moved its old name (data.sources[].name), or set "
             "data.mixture_change to restart");
    // Restart: quotas count from here, and each source that is still in the mixture continues at its old position.
    cursor = begin();
    cursor.sequences = cursor.mixture_start = from.sequences;
    cursor.tokens = from.tokens;
    for (size_t i = 0; i < sources_.size(); ++i) {
      for (const SourceCursor& old : from.sources) {
        SourceCursor& source = cursor.sources[i];
        if (old.key != source.key) continue;
        source = {old.key, old.epoch, old.ordinal, old.offset, 0};
        if (sources_[i]->shards.num_samples() > 0) sources_[i]->stream.fit(source);
      }
    }
  }
  if (cursor.sources.size() != sources_.size())
    throw DataError(concat("data cursor: expected ", sources_.size(), " sources, found ", cursor.sources.size()));
  int64_t drawn = cursor.mixture_start;
  for (size_t i = 0; i < sources_.size(); ++i) {
    const SourceCursor& s = cursor.sources[i];
    const int64_t samples = sources_[i]->shards.num_samples();
    // A source of weight 0 may be empty, and its cursor then stands at document 0 of 0.
    const bool untouched = s.ordinal == 0 && s.offset == 0;
    if (s.epoch < 0 || s.offset < 0 || s.ordinal < 0 || s.sequences < 0 || (s.ordinal >= samples && !untouched))
      throw DataError(concat("data cursor: source '", sources_[i]->name, "' stands at document ", s.ordinal, " of ",
                             samples, ", input ", s.offset));
    if (s.offset > 0 && !sources_[i]->stream.has(s))
      throw DataError(concat("data cursor: source '", sources_[i]->name, "' stands at input ", s.offset,
                             " of a document that is shorter: the documents are not those that the run read before"));
    drawn += s.sequences;
  }
  if (drawn != cursor.sequences)
    throw DataError(concat("data cursor: the sources gave ", drawn, " sequences, the run consumed ", cursor.sequences));
  return cursor;
}

std::vector<DocumentPiece> Sources::next_sequence(int64_t length, Cursor& cursor) {
  std::vector<int64_t> counts;
  for (const SourceCursor& source : cursor.sources) counts.push_back(source.sequences);
  const int chosen = mixture_.next(counts);
  SourceCursor& at = cursor.sources[static_cast<size_t>(chosen)];
  std::vector<DocumentPiece> pieces = sources_[static_cast<size_t>(chosen)]->stream.take(length, at);
  for (DocumentPiece& piece : pieces) piece.source = chosen;
  ++at.sequences;
  ++cursor.sequences;
  cursor.tokens += length;
  return pieces;
}

const TextSample& Sources::document(const DocumentPiece& piece) {
  Source& source = *sources_[static_cast<size_t>(piece.source)];
  if (source.cached_document != piece.document) {
    source.text = read(piece.source, piece.document);
    source.cached_document = piece.document;
  }
  return source.text;
}

int32_t Sources::begin_token(const DocumentPiece& piece) const {
  return sources_[static_cast<size_t>(piece.source)]->shards.manifest().begin_token;
}

// Only a sample whose bytes are damaged may be skipped. If a file cannot be read at all, the machine is at fault. If a
// sample is intact but this run cannot use it, for example because of its modality, the configuration is at fault.
TextSample Sources::read(int32_t source, int64_t document) {
  ShardSet& shards = sources_[static_cast<size_t>(source)]->shards;
  try {
    return shards.read_text(document);
  } catch (const DamagedSample& error) {
    if (policy_ == BadData::fail) throw;
    bad_.insert({source, document});
    if (bad_samples() > max_bad_)
      throw DataError(concat("more than ", max_bad_, " samples could not be read, the last: ", error.what()));
  }
  // Masked end tokens of the same length keep the packing of everything after this document unchanged.
  const auto count = static_cast<size_t>(shards.num_tokens(document));
  return {std::vector<int32_t>(count, shards.manifest().end_token), std::vector<uint8_t>(count, 0), 0};
}

}  // namespace birkhoff
