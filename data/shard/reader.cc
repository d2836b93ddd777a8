#include "data/shard/reader.h"

#include <functional>
#include <limits>
#include <utility>

#include "data/shard/format.h"
#include "kernels/core/defects.h"
#include "kernels/core/error.h"
#include "kernels/core/hash.h"

namespace birkhoff {
namespace {

// Opens a dataset and checks its type and shape. The columns of a table must match the struct that its rows are read
// into. `columns` is 0 for a one-dimensional pool.
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

// Checks one segment against the sizes of the pools, in elements.
void check_segment(const SegmentRow& row, int64_t tokens, int64_t bytes) {
  const bool text = row.modality == static_cast<int64_t>(Modality::text);
  if (!text && row.modality != static_cast<int64_t>(Modality::opaque))
    throw DataError(concat("a segment of modality ", row.modality, ", expected 0 (text) or 1 (opaque)"));
  if (row.rank < 0 || row.rank > SegmentRow::kMaxRank)
    throw DataError(concat("a segment of rank ", row.rank, ", expected 0 to ", SegmentRow::kMaxRank));
  for (int64_t i = 0; i < row.rank; ++i)
    if (row.dims[i] < 0) throw DataError(concat("a segment with a dim of ", row.dims[i]));
  check_range("payload elements", row.offset, row.length, text ? tokens : bytes);
}

// Checks all segments of a sample. Segments that share payload are refused, so that a sample never needs more memory
// than the shard has bytes.
void check_segments(const SampleRow& row, const SegmentRow* segments, int64_t tokens, int64_t bytes) {
  int64_t text = 0, opaque = 0;
  for (int64_t i = 0; i < row.num_segments; ++i) {
    check_segment(segments[i], tokens, bytes);
    (segments[i].modality == static_cast<int64_t>(Modality::text) ? text : opaque) += segments[i].length;
    if (text > tokens || opaque > bytes) throw DataError("its segments share payload");
  }
  if (text != row.num_tokens)
    throw DataError(concat("index and data disagree: expected ", row.num_tokens, " tokens, found ", text));
}

// Tracks how much of a shard is not yet claimed by a sample. Without this limit, samples that share segments or payload
// could make a small file take far longer to read than its size suggests.
struct Unclaimed {
  int64_t segments, tokens, bytes;

  void take(int64_t& unclaimed, int64_t count, const char* what) {
    if (count > unclaimed) throw DataError(concat("it shares ", what, " with samples before it"));
    unclaimed -= count;
  }
  void take_segments(const SampleRow& row) { take(segments, row.num_segments, "segments"); }
  // The segments must have passed check_segments().
  void take_payload(const SampleRow& row, const SegmentRow* own) {
    int64_t opaque = 0;
    for (int64_t i = 0; i < row.num_segments; ++i) {
      if (own[i].modality != static_cast<int64_t>(Modality::text)) opaque += own[i].length;
    }
    take(tokens, row.num_tokens, "payload");
    take(bytes, opaque, "payload");
  }
};

Segment load(const SegmentRow& row, const BulkFile& file, const H5Dataset& pool, const H5Dataset& mask) {
  Segment segment;
  segment.modality = static_cast<Modality>(row.modality);
  segment.shape = Shape{};
  for (int64_t i = 0; i < row.rank; ++i) segment.shape.append(row.dims[i]);
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

void check_format(const H5Group& root) {
  const std::string format = root.has_attribute("format") ? root.text("format") : "no format attribute";
  if (format != kShardFormat) throw DataError(concat("not a shard: expected ", kShardFormat, ", found ", format));
  if (const int64_t version = root.integer("version"); version != kShardVersion)
    throw DataError(concat("expected shard version ", kShardVersion, ", found version ", version));
}

// Runs `body` and prefixes the message of a DataError with the path, unless it begins with it already.
void with_path_in_errors(const std::filesystem::path& path, const std::function<void()>& body) {
  try {
    body();
  } catch (const DataError& error) {
    const std::string message = error.what();
    throw DataError(message.starts_with(path.string()) ? message : path.string() + ": " + message);
  }
}

void check_tokens(const Sample& sample, int64_t vocab_size) {
  for (const Segment& segment : sample.segments)
    for (size_t i = 0; i < segment.tokens.size(); ++i)
      if (segment.tokens[i] < 0 || segment.tokens[i] >= vocab_size)
        throw DataError(
            concat("token id ", segment.tokens[i], " at position ", i, " is outside the vocabulary of ", vocab_size));
}

}  // namespace

uint64_t read_index_checksum(const std::filesystem::path& shard) {
  const H5File h5 = H5File::open(shard);
  uint64_t checksum = 0;
  with_path_in_errors(shard, [&] {
    check_format(h5.root());
    checksum = std::bit_cast<uint64_t>(h5.root().integer("index_checksum"));
  });
  return checksum;
}

ShardReader::ShardReader(std::filesystem::path path) : path_(std::move(path)) {
  read_header();
  read_index();
  close_file();
}

void ShardReader::read_header() {
  const H5File h5 = H5File::open(path_);
  with_path_in_errors(path_, [&] {
    const H5Group root = h5.root();
    check_format(root);
    Defects defects;
    const auto pool = [&](const char* name, DType dtype, int64_t columns) {
      return defects.value([&] { return open_pool(root, name, dtype, columns); });
    };
    vocab_size_ = defects.value([&] { return root.integer("vocab_size"); });
    tokenizer_digest_ = defects.value([&] { return root.text("tokenizer_digest"); });
    index_checksum_ = std::bit_cast<uint64_t>(defects.value([&] { return root.integer("index_checksum"); }));
    samples_ = pool("samples", DType::i64, kSampleColumns);
    segments_ = pool("segments", DType::i64, kSegmentColumns);
    tokens_ = pool("tokens", DType::i32, 0);
    loss_mask_ = pool("loss_mask", DType::u8, 0);
    bytes_ = pool("bytes", DType::u8, 0);
    defects.throw_if_any(path_.string());
    if (samples_.shape[0] == 0) throw DataError("the shard holds no samples");
    if (tokens_.shape != loss_mask_.shape)
      throw DataError(concat("tokens ", tokens_.shape, " and loss_mask ", loss_mask_.shape, " disagree"));
  });
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
  check_index(samples, segments);
  for (const SampleRow& row : samples) {
    num_tokens_.push_back(static_cast<int32_t>(row.num_tokens));
    source_bytes_.push_back(row.source_bytes);
  }
}

// Checks the rows of the index. A correct checksum only shows that the tables are as they were written; the program
// that wrote them may have been wrong or malicious.
void ShardReader::check_index(const std::vector<SampleRow>& samples, const std::vector<SegmentRow>& segments) const {
  Defects defects;
  int64_t source_bytes = 0;
  Unclaimed unclaimed{segments_.shape[0], tokens_.shape[0], bytes_.shape[0]};
  for (size_t i = 0; i < samples.size(); ++i) {
    const SampleRow& row = samples[i];
    try {
      if (row.num_tokens < 0 || row.num_tokens > std::numeric_limits<int32_t>::max())
        throw DataError(concat(row.num_tokens, " tokens, at most 2^31 - 1"));
      if (row.source_bytes < 0 || __builtin_add_overflow(source_bytes, row.source_bytes, &source_bytes))
        throw DataError(concat(row.source_bytes, " bytes of raw text"));
      check_range("segments", row.first_segment, row.num_segments, segments_.shape[0]);
      const SegmentRow* const own = segments.data() + row.first_segment;
      unclaimed.take_segments(row);
      check_segments(row, own, tokens_.shape[0], bytes_.shape[0]);
      unclaimed.take_payload(row, own);
    } catch (const DataError& error) {
      defects.add(concat(path_.string(), ": sample ", i, ": ", error.what()));
    }
  }
  defects.throw_if_any(path_.string());
}

const BulkFile& ShardReader::file() {
  if (!file_) file_ = BulkFile::open_to_read(path_);
  return *file_;
}

Sample ShardReader::read(int64_t id) {
  BK_ASSERT(id >= 0 && id < num_samples(), path_.string(), ": sample ", id, " of ", num_samples());
  try {
    // The row is read and checked again, because the file may have changed since the constructor read it.
    SampleRow row;
    file().read(samples_, id * kSampleColumns, kSampleColumns, &row);
    check_range("segments", row.first_segment, row.num_segments, segments_.shape[0]);
    std::vector<SegmentRow> segments(static_cast<size_t>(row.num_segments));
    file().read(segments_, row.first_segment * kSegmentColumns, row.num_segments * kSegmentColumns, segments.data());
    check_segments(row, segments.data(), tokens_.shape[0], bytes_.shape[0]);
    Sample sample;
    sample.source_bytes = row.source_bytes;
    for (const SegmentRow& segment : segments) {
      const bool text = segment.modality == static_cast<int64_t>(Modality::text);
      sample.segments.push_back(load(segment, file(), text ? tokens_ : bytes_, loss_mask_));
    }
    if (const uint64_t found = checksum_of(row, segments, sample); found != row.checksum)
      throw DamagedSample(concat("checksum: expected ", hex16(row.checksum), ", found ", hex16(found)));
    if (row.num_tokens != num_tokens(id))
      throw DataError(concat("the index changed: expected ", num_tokens(id), " tokens, found ", row.num_tokens));
    check_tokens(sample, vocab_size_);
    return sample;
    // An I/O error is a failure of the machine, not of this sample, and keeps its errno.
  } catch (const IoError&) {
    throw;
  } catch (const DamagedSample& error) {
    throw DamagedSample(concat(path_.string(), ": sample ", id, ": ", error.what()));
  } catch (const DataError& error) {
    throw DataError(concat(path_.string(), ": sample ", id, ": ", error.what()));
  }
}

}  // namespace birkhoff
