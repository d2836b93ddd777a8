#include "data/ingest/unpack.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "data/file/regular_file.h"
#include "data/ingest/content.h"
#include "data/ingest/inputs.h"
#include "kernels/core/error.h"
#include "kernels/core/host_memory.h"

namespace birkhoff {
namespace {

constexpr size_t kChunk = size_t{1} << 18;
constexpr size_t kHeadBytes = size_t{1} << 16;
// Log2 of zstd window sizes. Windows of up to 128 MiB are always allowed. Larger ones, up to the 2 GiB of `zstd
// --long=31`, are allowed up to the smallest power of two above the limit.
constexpr int kUsualWindowLog = 27, kMaxWindowLog = 31;

// Collects unpacked text up to a limit, and raises the errors of unpacking.
class Output {
 public:
  Output(const std::filesystem::path& path, const char* format, size_t limit)
      : path_(path), format_(format), limit_(limit) {}

  void append(const char* data, size_t bytes) {
    const size_t fits = std::min(bytes, limit_ - text_.size());
    // std::string doubles its capacity when it grows, which could exceed the limit.
    if (text_.size() + fits > text_.capacity()) {
      text_.reserve(std::min(limit_, std::max(2 * text_.capacity(), text_.size() + fits)));
    }
    text_.append(data, fits);
    if (fits < bytes) refuse(limit_ + 1);
  }
  [[noreturn]] void refuse(size_t bytes) const {
    throw DataError(concat(shown(path_), ": unpacks to ", bytes, " bytes or more, but at most ", limit_,
                           " bytes of text of one file are held in memory; split it, or raise --max-file-mib"));
  }
  [[noreturn]] void damaged(const std::string& why) const {
    throw DataError(concat(shown(path_), ": damaged ", format_, " data: ", why));
  }
  [[noreturn]] void truncated() const { damaged(concat("truncated after ", text_.size(), " bytes of text")); }
  std::string finish() { return std::move(text_); }
  size_t limit() const { return limit_; }

 private:
  const std::filesystem::path& path_;
  const char* format_;
  size_t limit_;
  std::string text_;
};

struct Inflater {
  z_stream z{};
  Inflater() {
    if (inflateInit2(&z, 15 + 16) != Z_OK) throw std::bad_alloc();  // 16: gzip framing, with its checksum
  }
  ~Inflater() { inflateEnd(&z); }
};

// A gzip file may consist of several members. Zeros may follow the last one, because tapes pad files with them.
void gunzip(std::string_view packed, Output& out) {
  Inflater inflater;
  z_stream& z = inflater.z;
  std::vector<char> chunk(kChunk);
  size_t at = 0;
  while (true) {
    if (z.avail_in == 0) {
      // avail_in has 32 bits, so the input is passed on in pieces of 1 GiB.
      const size_t piece = std::min(packed.size() - at, size_t{1} << 30);
      z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + at));
      z.avail_in = static_cast<uInt>(piece);
      at += piece;
    }
    z.next_out = reinterpret_cast<Bytef*>(chunk.data());
    z.avail_out = static_cast<uInt>(chunk.size());
    const int code = inflate(&z, Z_NO_FLUSH);
    out.append(chunk.data(), chunk.size() - z.avail_out);
    const bool at_end = z.avail_in == 0 && at == packed.size();
    if (code == Z_STREAM_END) {
      if (at_end || packed.find_first_not_of('\0', at - z.avail_in) == packed.npos) return;
      inflateReset(&z);
    } else if (code == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      out.damaged(z.msg != nullptr ? z.msg : "unknown code");
    } else if (at_end && z.avail_out != 0) {
      out.truncated();
    }
  }
}

int window_log(const Output& out) {
  return std::clamp(static_cast<int>(std::bit_width(out.limit())), kUsualWindowLog, kMaxWindowLog);
}

[[noreturn]] void refuse_zstd(size_t error, const Output& out) {
  const ZSTD_ErrorCode code = ZSTD_getErrorCode(error);
  if (code == ZSTD_error_frameParameter_windowTooLarge) {
    out.damaged(concat("it was made with a window above ", 1 << (window_log(out) - 20),
                       " MiB (zstd --long), more than is allowed here; raise --max-file-mib, or unpack it with zstd -d "
                       "--long=31 and give the plain file"));
  }
  if (code == ZSTD_error_dictionary_wrong) {
    out.damaged("it was made with a dictionary (zstd -D); unpack it with zstd -d -D and give the plain file");
  }
  if (code == ZSTD_error_memory_allocation) throw std::bad_alloc();
  out.damaged(ZSTD_getErrorName(error));
}

void unzstd(std::string_view packed, Output& out) {
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  if (!context) throw std::bad_alloc();
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, window_log(out));
  std::vector<char> chunk(kChunk);
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  size_t left = 1;
  for (bool full = false; in.pos < in.size || full;) {
    ZSTD_outBuffer chunk_out{chunk.data(), chunk.size(), 0};
    left = ZSTD_decompressStream(context.get(), &chunk_out, &in);
    if (ZSTD_isError(left)) refuse_zstd(left, out);
    out.append(chunk.data(), chunk_out.pos);
    full = left != 0 && chunk_out.pos == chunk_out.size;  // the decoder may hold more output than one chunk
  }
  if (left != 0) out.truncated();
}

// Memory that can be allocated without swapping.
int64_t free_memory() {
  constexpr int64_t kIfUnknown = int64_t{4} << 30;
  return std::min(available_host_memory().value_or(kIfUnknown), available_group_memory().value_or(INT64_MAX));
}

}  // namespace

std::string unpack(std::string bytes, const std::filesystem::path& name, int64_t max_bytes) {
  const bool gzip = is_gzip(bytes);
  if (!gzip && !is_zstd(bytes)) return bytes;
  Output out(name, gzip ? "gzip" : "zstd", static_cast<size_t>(max_bytes));
  if (gzip) {
    gunzip(bytes, out);
  } else {
    const unsigned long long declared = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
    if (declared < ZSTD_CONTENTSIZE_ERROR && declared > out.limit()) out.refuse(declared);
    unzstd(bytes, out);
  }
  return out.finish();
}

std::string read_unpacked(const std::filesystem::path& path, UnpackLimits limits) {
  const int64_t free = limits.max_bytes > 0 ? limits.max_bytes : free_memory();
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (!error && size > static_cast<uintmax_t>(free)) {
    throw DataError(concat(shown(path), ": has ", size, " bytes, but at most ", free,
                           " bytes of one file are held in memory; split it, or raise --max-file-mib"));
  }
  // The packed bytes and the text are in memory at the same time, hence half for the text.
  return unpack(read_regular_file(path, free), path, limits.max_bytes > 0 ? free : free / 2);
}

std::string read_unpacked_head(const std::filesystem::path& path) {
  const int file = open_regular_file(path);
  std::string bytes(kHeadBytes, '\0');
  const ssize_t n = ::pread(file, bytes.data(), bytes.size(), 0);
  const int code = errno;
  ::close(file);
  if (n < 0) throw IoError(concat(shown(path), ": cannot read: ", std::strerror(code)), code);
  bytes.resize(static_cast<size_t>(n));
  const bool gzip = is_gzip(bytes);
  if (!gzip && !is_zstd(bytes)) return bytes;
  Output out(path, "", kHeadBytes);
  try {
    gzip ? gunzip(bytes, out) : unzstd(bytes, out);
  } catch (const DataError&) {  // expected: the head is full, or the packed bytes end early
  }
  return out.finish();
}

}  // namespace birkhoff
