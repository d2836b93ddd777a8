#include "data/shard/shard_set.h"

#include <algorithm>
#include <utility>

#include "kernels/core/error.h"
#include "kernels/core/hash.h"

namespace birkhoff {

ShardSet::ShardSet(std::filesystem::path directory, const std::string& split, int max_open_files)
    : directory_(directory / split),
      manifest_(read_manifest(directory)),
      max_open_files_(static_cast<size_t>(std::max(1, max_open_files))) {
  shards_ = manifest_.split(split).shards;
  readers_.resize(shards_.size());
  first_sample_.push_back(0);
  for (const ShardEntry& shard : shards_) first_sample_.push_back(first_sample_.back() + shard.num_samples);
}

std::vector<std::string> differences(const ShardReader& shard, const ShardEntry& entry,
                                     const DatasetManifest& manifest) {
  std::vector<std::string> wrong;
  const auto compare = [&](const char* what, int64_t expected, int64_t found) {
    if (expected == found) return;
    wrong.push_back(
        concat(shard.path().string(), ": dataset.json counts ", expected, ' ', what, ", the shard has ", found));
  };
  int64_t tokens = 0, source_bytes = 0;
  for (int64_t i = 0; i < shard.num_samples(); ++i) {
    tokens += shard.num_tokens(i);
    source_bytes += shard.source_bytes(i);
  }
  if (!manifest.tokenizer_digest.empty() && shard.tokenizer_digest() != manifest.tokenizer_digest)
    wrong.push_back(concat(shard.path().string(), ": its tokenizer is not that of dataset.json: expected ",
                           manifest.tokenizer_digest, ", found ", shard.tokenizer_digest()));
  if (manifest.vocab_size > 0) compare("tokens of the vocabulary", manifest.vocab_size, shard.vocab_size());
  // A defective entry was reported when dataset.json was read; its numbers cannot be compared.
  if (!entry.whole) return wrong;
  compare("samples", entry.num_samples, shard.num_samples());
  compare("tokens", entry.num_tokens, tokens);
  compare("bytes of raw text", entry.source_bytes, source_bytes);
  if (entry.index_checksum && *entry.index_checksum != shard.index_checksum())
    wrong.push_back(concat(shard.path().string(), ": is not the shard that dataset.json describes: expected the index ",
                           "checksum ", hex16(*entry.index_checksum), ", found ", hex16(shard.index_checksum())));
  return wrong;
}

uint64_t ShardSet::content_digest() const {
  Hasher digest;
  for (const ShardEntry& shard : shards_) {
    const uint64_t checksum =
        shard.index_checksum ? *shard.index_checksum : read_index_checksum(directory_ / shard.file);
    digest.update(&checksum, sizeof checksum);
  }
  return digest.digest();
}

size_t ShardSet::shard_of(int64_t sample) const {
  BK_ASSERT(sample >= 0 && sample < num_samples(), "sample ", sample, " of ", num_samples());
  const auto after = std::upper_bound(first_sample_.begin(), first_sample_.end(), sample);
  return static_cast<size_t>(after - first_sample_.begin()) - 1;
}

ShardReader& ShardSet::reader(size_t shard) {
  auto& reader = readers_[shard];
  if (reader) return *reader;
  auto opened = std::make_unique<ShardReader>(directory_ / shards_[shard].file);
  const std::vector<std::string> wrong = differences(*opened, shards_[shard], manifest_);
  if (!wrong.empty()) throw DataError(wrong[0]);
  // Only a shard that matches is kept, so that the next access checks a mismatched one again.
  reader = std::move(opened);
  return *reader;
}

void ShardSet::remember_open(size_t shard) {
  if (!open_.empty() && open_.front() == shard) return;
  open_.remove(shard);
  open_.push_front(shard);
  // Close the least recently used file. The reader stays, with its index in memory.
  if (open_.size() <= max_open_files_) return;
  readers_[open_.back()]->close_file();
  open_.pop_back();
}

int64_t ShardSet::num_tokens(int64_t sample) {
  const size_t shard = shard_of(sample);
  return reader(shard).num_tokens(sample - first_sample_[shard]);
}

int64_t ShardSet::source_bytes(int64_t sample) {
  const size_t shard = shard_of(sample);
  return reader(shard).source_bytes(sample - first_sample_[shard]);
}

Sample ShardSet::read(int64_t sample) {
  const size_t shard = shard_of(sample);
  ShardReader& from = reader(shard);
  remember_open(shard);
  return from.read(sample - first_sample_[shard]);
}

TextSample ShardSet::read_text(int64_t id) {
  Sample sample = read(id);
  TextSample text;
  text.source_bytes = sample.source_bytes;
  for (size_t i = 0; i < sample.segments.size(); ++i) {
    const Segment& segment = sample.segments[i];
    if (segment.modality != Modality::text) {
      const size_t shard = shard_of(id);
      throw DataError(concat((directory_ / shards_[shard].file).string(), ": sample ", id - first_sample_[shard],
                             ", segment ", i, ": its modality is '", name_of(segment.modality),
                             "', but a text-only run takes only 'text'"));
    }
    text.tokens.insert(text.tokens.end(), segment.tokens.begin(), segment.tokens.end());
    text.loss_mask.insert(text.loss_mask.end(), segment.loss_mask.begin(), segment.loss_mask.end());
  }
  return text;
}

}  // namespace birkhoff
