#pragma once
// The tables of a shard file as they lie on disk (docs/formats/shard.md), shared by writer and reader.
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
  uint64_t checksum = 0;  // checksum_of the sample
};

struct SegmentRow {
  static constexpr int kMaxRank = 4;
  int64_t modality = 0;
  int64_t offset = 0, length = 0;  // elements of /tokens and /loss_mask for text, of /bytes for anything else
  int64_t rank = 0;
  int64_t dims[kMaxRank]{};
};

inline constexpr int64_t kSampleColumns = sizeof(SampleRow) / sizeof(int64_t);
inline constexpr int64_t kSegmentColumns = sizeof(SegmentRow) / sizeof(int64_t);

// XXH3-64 over the sample's row without the checksum, its segment rows, and its payload in order.
uint64_t checksum_of(const SampleRow& row, const std::vector<SegmentRow>& segments, const Sample& sample);
// Over both tables.
uint64_t index_checksum_of(const std::vector<SampleRow>& samples, const std::vector<SegmentRow>& segments);

struct ShardHeader {
  int64_t version = kShardVersion;
  int64_t vocab_size = 0;
  std::string tokenizer_digest;
};

// Writes a whole shard, publishes it and returns its index checksum. It trusts the samples: ShardWriter::add is what
// checks them.
uint64_t write_shard(const std::filesystem::path& path, const ShardHeader& header, const std::vector<Sample>& samples);

}  // namespace birkhoff
