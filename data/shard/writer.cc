#include "data/shard/writer.h"

#include <cstdio>
#include <utility>

#include "data/file/folder.h"
#include "data/shard/format.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

void check_text(const Segment& segment, int64_t vocab_size, const std::string& what) {
  const auto count = static_cast<int64_t>(segment.tokens.size());
  if (!segment.bytes.empty() || segment.shape != Shape{count} || segment.loss_mask.size() != segment.tokens.size())
    throw DataError(concat(what, ": a text segment has tokens, a loss mask of equal length (found ", count, " and ",
                           segment.loss_mask.size(), ") and the shape [tokens] (found ", segment.shape, ")"));
  for (size_t i = 0; i < segment.tokens.size(); ++i)
    if (segment.tokens[i] < 0 || segment.tokens[i] >= vocab_size)
      throw DataError(concat(what, ": token id ", segment.tokens[i], " at position ", i,
                             " is outside the vocabulary of ", vocab_size));
}

void check_opaque(const Segment& segment, const std::string& what) {
  if (!segment.tokens.empty() || !segment.loss_mask.empty())
    throw DataError(concat(what, ": a segment of modality ", name_of(segment.modality), " holds tokens"));
  if (segment.shape.rank() > SegmentRow::kMaxRank)
    throw DataError(concat(what, ": shape ", segment.shape, " has more than ", SegmentRow::kMaxRank, " dims"));
}

int64_t stored_bytes(const Sample& sample) {
  auto bytes = static_cast<int64_t>(sizeof(SampleRow) + sample.segments.size() * sizeof(SegmentRow));
  for (const Segment& segment : sample.segments)
    bytes += static_cast<int64_t>(segment.tokens.size() * 5 + segment.bytes.size());  // 4 of the id, 1 of the mask
  return bytes;
}

std::string shard_name(size_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "shard-%05zu.h5", number);
  return name;
}

}  // namespace

ShardWriter::ShardWriter(std::filesystem::path directory, ShardOptions options)
    : directory_(std::move(directory)), options_(std::move(options)) {
  BK_CHECK(options_.vocab_size > 0, "a shard needs a vocabulary size above 0, found ", options_.vocab_size);
  BK_CHECK(options_.max_shard_bytes > 0, "the shard size limit is ", options_.max_shard_bytes, " bytes, not above 0");
  make_folder(directory_);
}

void ShardWriter::add(Sample sample) {
  // The index within the whole split, for messages.
  const int64_t id = split_.num_samples + static_cast<int64_t>(pending_.size());
  if (sample.segments.empty()) throw DataError(concat("sample ", id, " has no segments"));
  for (size_t i = 0; i < sample.segments.size(); ++i) {
    const std::string what = concat("sample ", id, ", segment ", i);
    if (sample.segments[i].modality == Modality::text)
      check_text(sample.segments[i], options_.vocab_size, what);
    else
      check_opaque(sample.segments[i], what);
  }
  const int64_t bytes = stored_bytes(sample);
  if (!pending_.empty() && pending_bytes_ + bytes > options_.max_shard_bytes) publish();
  pending_bytes_ += bytes;
  pending_.push_back(std::move(sample));
}

SplitManifest ShardWriter::finish() {
  if (!pending_.empty()) publish();
  return std::move(split_);
}

void ShardWriter::publish() {
  ShardEntry entry{shard_name(split_.shards.size()), static_cast<int64_t>(pending_.size()), 0, 0};
  for (const Sample& sample : pending_) {
    entry.num_tokens += sample.num_tokens();
    entry.source_bytes += sample.source_bytes;
  }
  entry.index_checksum =
      write_shard(directory_ / entry.file, {kShardVersion, options_.vocab_size, options_.tokenizer_digest}, pending_);
  split_.append(std::move(entry));
  pending_.clear();
  pending_bytes_ = 0;
}

}  // namespace birkhoff
