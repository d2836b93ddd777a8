#pragma once
// The tables of a shard file in their on-disk layout (docs/formats/shard.md). Shared by the writer and the reader.
#include <bit>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/shard/sample.h"

namespace birkhoff {

static_assert(std::endian::native == std::endian::little, "tables are moved to and from disk as they lie in memory");

inline constexpr char kShardFormat[] = "birkhoff.shard";
inline constexpr int64_t kShardVersion = 1;

struct SampleRow {
  int64_t first_segment = 0, num_segments = 0;
  int64_t num_tokens = 0, source_bytes = 0;
  uint64_t checksum = 0;  // checksum_of() of the sample
};

struct SegmentRow {
  static constexpr int kMaxRank = 4;
  int64_t modality = 0;
  int64_t offset = 0, length = 0;  // in elements of /tokens and /loss_mask for text, else of /bytes
  int64_t rank = 0;
  int64_t dims[kMaxRank]{};
};

inline constexpr int64_t kSampleColumns = sizeof(SampleRow) / sizeof(int64_t);
inline constexpr int64_t kSegmentColumns = sizeof(SegmentRow) / sizeof(int64_t);

// XXH3-64 over the sample's row without its checksum, its segment rows, and its payload in order.
uint64_t checksum_of(const SampleRow& row, const std::vector<SegmentRow>& segments, const Sample& sample);
// XXH3-64 over both tables. Since the sample rows contain the checksums of the payload, it covers all content of a
// shard.
uint64_t index_checksum_of(const std::vector<SampleRow>& samples, const std::vector<SegmentRow>& segments);

struct ShardHeader {
  int64_t version = kShardVersion;
  int64_t vocab_size = 0;
  std::string tokenizer_digest;
};

// Writes and publishes a whole shard, and returns its index checksum. The samples are not checked here:
// ShardWriter::add() does that.
uint64_t write_shard(const std::filesystem::path& path, const ShardHeader& header, const std::vector<Sample>& samples);

}  // namespace birkhoff
