#include "data/shard/reader.h"

#include <limits>
#include <utility>

#include "data/shard/format.h"
#include "kernels/core/error.h"
#include "kernels/core/hash.h"

namespace birkhoff {
namespace {

// Columns of a table dataset must be those of the struct it is read into.
H5Dataset open_pool(const H5Group& root, const std::string& name, DType dtype, int64_t columns) {
  H5Dataset pool = root.dataset(name);
  const Shape expected = columns == 0 ? Shape{pool.shape.rank() > 0 ? pool.shape[0] : 0}
                                      : Shape{pool.shape.rank() > 0 ? pool.shape[0] : 0, columns};
  if (pool.dtype != dtype || pool.shape != expected)
    throw DataError(concat("/", name, ": expected ", dtype, " ", expected, ", found ", pool.dtype, " ", pool.shape));
  return pool;
}

void check_range(const char* what, int64_t begin, int64_t count, int64_t limit) {
  if (begin < 0 || count < 0 || begin > limit || count > limit - begin)
    throw DataError(concat(what, " ", begin, " + ", count, " lie outside the ", limit, " there are"));
}

Segment load(const SegmentRow& row, const BulkFile& file, const H5Dataset& pool, const H5Dataset& mask) {
  Segment segment;
  segment.modality = static_cast<Modality>(row.modality);
  if (row.rank < 0 || row.rank > SegmentRow::kMaxRank)
    throw DataError(concat("a segment of rank ", row.rank, ", expected 0 to ", SegmentRow::kMaxRank));
  segment.shape = Shape{};
  for (int64_t i = 0; i < row.rank; ++i) segment.shape.append(row.dims[i]);
  check_range("payload elements", row.offset, row.length, pool.shape[0]);
  const auto length = static_cast<size_t>(row.length);
  if (segment.modality != Modality::text) {
    segment.bytes.resize(length);
    file.read(pool, row.offset, row.length, segment.bytes.data());
    return segment;
  }
  segment.tokens.resize(length);
  segment.loss_mask.resize(length);
  file.read(pool, row.offset, row.length, segment.tokens.data());
  file.read(mask, row.offset, row.length, segment.loss_mask.data());
  return segment;
}

void check_tokens(const Sample& sample, int64_t vocab_size) {
  for (const Segment& segment : sample.segments)
    for (size_t i = 0; i < segment.tokens.size(); ++i)
      if (segment.tokens[i] < 0 || segment.tokens[i] >= vocab_size)
        throw DataError(
            concat("token id ", segment.tokens[i], " at position ", i, " is outside the vocabulary of ", vocab_size));
}

}  // namespace

ShardReader::ShardReader(std::filesystem::path path) : path_(std::move(path)) {
  read_header();
  read_index();
  close_file();
}

void ShardReader::read_header() {
  const H5File h5 = H5File::open(path_);
  try {
    const H5Group root = h5.root();
    const std::string format = root.has_attribute("format") ? root.text("format") : "no format attribute";
    if (format != kShardFormat) throw DataError(concat("not a shard: expected ", kShardFormat, ", found ", format));
    if (const int64_t version = root.integer("version"); version != kShardVersion)
      throw DataError(concat("expected shard version ", kShardVersion, ", found version ", version));
    vocab_size_ = root.integer("vocab_size");
    tokenizer_digest_ = root.text("tokenizer_digest");
    index_checksum_ = std::bit_cast<uint64_t>(root.integer("index_checksum"));
    samples_ = open_pool(root, "samples", DType::i64, kSampleColumns);
    segments_ = open_pool(root, "segments", DType::i64, kSegmentColumns);
    tokens_ = open_pool(root, "tokens", DType::i32, 0);
    loss_mask_ = open_pool(root, "loss_mask", DType::u8, 0);
    bytes_ = open_pool(root, "bytes", DType::u8, 0);
    if (samples_.shape[0] == 0) throw DataError("the shard holds no samples");
    if (tokens_.shape != loss_mask_.shape)
      throw DataError(concat("tokens ", tokens_.shape, " and loss_mask ", loss_mask_.shape, " disagree"));
  } catch (const DataError& error) {
    const std::string message = error.what();
    throw DataError(message.starts_with(path_.string()) ? message : path_.string() + ": " + message);
  }
}

void ShardReader::read_index() {
  std::vector<SampleRow> samples(static_cast<size_t>(samples_.shape[0]));
  std::vector<SegmentRow> segments(static_cast<size_t>(segments_.shape[0]));
  file().read(samples_, 0, samples_.shape.count(), samples.data());
  file().read(segments_, 0, segments_.shape.count(), segments.data());
  const uint64_t found = index_checksum_of(samples, segments);
  if (found != index_checksum_)
    throw DataError(
        concat(path_.string(), ": index checksum: expected ", hex16(index_checksum_), ", found ", hex16(found)));
  for (size_t i = 0; i < samples.size(); ++i) {
    if (samples[i].num_tokens < 0 || samples[i].num_tokens > std::numeric_limits<int32_t>::max())
      throw DataError(concat(path_.string(), ": sample ", i, ": ", samples[i].num_tokens, " tokens, at most 2^31 - 1"));
    num_tokens_.push_back(static_cast<int32_t>(samples[i].num_tokens));
    source_bytes_.push_back(samples[i].source_bytes);
  }
}

const BulkFile& ShardReader::file() {
  if (!file_) file_ = BulkFile::open_to_read(path_);
  return *file_;
}

Sample ShardReader::read(int64_t id) {
  BK_ASSERT(id >= 0 && id < num_samples(), path_.string(), ": sample ", id, " of ", num_samples());
  try {
    SampleRow row;
    file().read(samples_, id * kSampleColumns, kSampleColumns, &row);
    check_range("segments", row.first_segment, row.num_segments, segments_.shape[0]);
    std::vector<SegmentRow> segments(static_cast<size_t>(row.num_segments));
    file().read(segments_, row.first_segment * kSegmentColumns, row.num_segments * kSegmentColumns, segments.data());
    Sample sample;
    sample.source_bytes = row.source_bytes;
    for (const SegmentRow& segment : segments) {
      const bool text = segment.modality == static_cast<int64_t>(Modality::text);
      sample.segments.push_back(load(segment, file(), text ? tokens_ : bytes_, loss_mask_));
    }
    if (const uint64_t found = checksum_of(row, segments, sample); found != row.checksum)
      throw DamagedSample(concat("checksum: expected ", hex16(row.checksum), ", found ", hex16(found)));
    if (sample.num_tokens() != num_tokens(id))
      throw DataError(
          concat("index and data disagree: expected ", num_tokens(id), " tokens, found ", sample.num_tokens()));
    check_tokens(sample, vocab_size_);
    return sample;
  } catch (const IoError&) {
    throw;
  } catch (const DamagedSample& error) {
    throw DamagedSample(concat(path_.string(), ": sample ", id, ": ", error.what()));
  } catch (const DataError& error) {
    throw DataError(concat(path_.string(), ": sample ", id, ": ", error.what()));
  }
}

}  // namespace birkhoff
