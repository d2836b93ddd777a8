#include "data/shard/format.h"

#include <cstddef>
#include <utility>

#include "data/hdf5/bulk_file.h"
#include "kernels/core/hash.h"

namespace birkhoff {
namespace {

// The payload of one shard in three pools (tokens, loss mask, bytes), and the tables that point into them.
struct Pools {
  std::vector<SampleRow> samples;
  std::vector<SegmentRow> segments;
  std::vector<int32_t> tokens;
  std::vector<uint8_t> loss_mask, bytes;

  int64_t stored_bytes() const {
    return static_cast<int64_t>(samples.size() * sizeof(SampleRow) + segments.size() * sizeof(SegmentRow) +
                                tokens.size() * sizeof(int32_t) + loss_mask.size() + bytes.size());
  }

  SegmentRow append(const Segment& segment) {
    SegmentRow row;
    row.modality = static_cast<int64_t>(segment.modality);
    row.rank = segment.shape.rank();
    for (int i = 0; i < segment.shape.rank(); ++i) row.dims[i] = segment.shape[i];
    const bool text = segment.modality == Modality::text;
    row.offset = static_cast<int64_t>(text ? tokens.size() : bytes.size());
    row.length = static_cast<int64_t>(text ? segment.tokens.size() : segment.bytes.size());
    tokens.insert(tokens.end(), segment.tokens.begin(), segment.tokens.end());
    loss_mask.insert(loss_mask.end(), segment.loss_mask.begin(), segment.loss_mask.end());
    bytes.insert(bytes.end(), segment.bytes.begin(), segment.bytes.end());
    return row;
  }

  void append(const Sample& sample) {
    std::vector<SegmentRow> rows;
    for (const Segment& segment : sample.segments) rows.push_back(append(segment));
    SampleRow row{static_cast<int64_t>(segments.size()), static_cast<int64_t>(rows.size()), sample.num_tokens(),
                  sample.source_bytes, 0};
    row.checksum = checksum_of(row, rows, sample);
    samples.push_back(row);
    segments.insert(segments.end(), rows.begin(), rows.end());
  }
};

void write_pools(const std::filesystem::path& path, const ShardHeader& header, const Pools& pools,
                 uint64_t index_checksum) {
  constexpr int64_t kMetadataBytes = int64_t{64} << 10;  // upper bound of the HDF5 metadata of five datasets
  check_size_limit(path, kMetadataBytes + pools.stored_bytes());
  // HDF5 lays the file out in memory, so that it never sees a full disk: it would keep the file open and crash when the
  // process exits (H5File::close()).
  const MemoryFile layout;
  H5File file = H5File::create(layout);
  const H5Group root = file.root();
  root.set("format", std::string(kShardFormat));
  root.set("version", header.version);
  root.set("vocab_size", header.vocab_size);
  root.set("tokenizer_digest", header.tokenizer_digest);
  root.set("index_checksum", std::bit_cast<int64_t>(index_checksum));
  std::vector<std::pair<H5Dataset, const void*>> stored;
  const auto store = [&](const char* name, DType dtype, const Shape& shape, const void* data) {
    stored.emplace_back(root.create_dataset(name, dtype, shape), data);
  };
  const auto size = [](const auto& pool) { return static_cast<int64_t>(pool.size()); };
  store("samples", DType::i64, {size(pools.samples), kSampleColumns}, pools.samples.data());
  store("segments", DType::i64, {size(pools.segments), kSegmentColumns}, pools.segments.data());
  store("tokens", DType::i32, {size(pools.tokens)}, pools.tokens.data());
  store("loss_mask", DType::u8, {size(pools.loss_mask)}, pools.loss_mask.data());
  store("bytes", DType::u8, {size(pools.bytes)}, pools.bytes.data());
  file.close();
  const BulkFile out = BulkFile::create(path);
  out.reserve(layout.bytes());
  layout.copy_to(out);
  // The datasets are contiguous and allocated, so their bytes are written directly at their offsets, without HDF5.
  for (const auto& [dataset, data] : stored) out.write(dataset, 0, dataset.shape.count(), data);
}

}  // namespace

uint64_t checksum_of(const SampleRow& row, const std::vector<SegmentRow>& segments, const Sample& sample) {
  Hasher hasher;
  hasher.update(&row, offsetof(SampleRow, checksum));
  hasher.update(segments.data(), segments.size() * sizeof(SegmentRow));
  for (const Segment& segment : sample.segments) {
    hasher.update(segment.tokens.data(), segment.tokens.size() * sizeof(int32_t));
    hasher.update(segment.loss_mask.data(), segment.loss_mask.size());
    hasher.update(segment.bytes.data(), segment.bytes.size());
  }
  return hasher.digest();
}

uint64_t index_checksum_of(const std::vector<SampleRow>& samples, const std::vector<SegmentRow>& segments) {
  return Hasher()
      .update(samples.data(), samples.size() * sizeof(SampleRow))
      .update(segments.data(), segments.size() * sizeof(SegmentRow))
      .digest();
}

uint64_t write_shard(const std::filesystem::path& path, const ShardHeader& header, const std::vector<Sample>& samples) {
  Pools pools;
  for (const Sample& sample : samples) pools.append(sample);
  const uint64_t index_checksum = index_checksum_of(pools.samples, pools.segments);
  const auto temporary = new_temporary(path);
  try {
    write_pools(temporary, header, pools, index_checksum);
    publish_file(temporary, path);
    return index_checksum;
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
}

}  // namespace birkhoff
