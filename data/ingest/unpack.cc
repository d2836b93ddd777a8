#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include <zlib.h>
#include <zstd.h>

#include "data/ingest/documents.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr size_t kChunk = size_t{1} << 18;

[[noreturn]] void damaged(const std::filesystem::path& path, const char* format, const std::string& why) {
  throw DataError(concat(path.string(), ": damaged ", format, " data: ", why));
}

struct Inflater {
  z_stream z{};
  Inflater() { BK_ASSERT(inflateInit2(&z, 15 + 16) == Z_OK); }  // 16: gzip framing, with its checksum
  ~Inflater() { inflateEnd(&z); }
};

// A gzip file may be several members one after another.
std::string gunzip(const std::string& packed, const std::filesystem::path& path) {
  Inflater inflater;
  z_stream& z = inflater.z;
  std::string text;
  std::vector<char> chunk(kChunk);
  size_t at = 0;
  while (true) {
    if (z.avail_in == 0) {
      const size_t piece = std::min(packed.size() - at, size_t{1} << 30);
      z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + at));
      z.avail_in = static_cast<uInt>(piece);
      at += piece;
    }
    z.next_out = reinterpret_cast<Bytef*>(chunk.data());
    z.avail_out = static_cast<uInt>(chunk.size());
    const int code = inflate(&z, Z_NO_FLUSH);
    text.append(chunk.data(), chunk.size() - z.avail_out);
    const bool at_end = z.avail_in == 0 && at == packed.size();
    if (code == Z_STREAM_END) {
      if (at_end) return text;
      inflateReset(&z);
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      damaged(path, "gzip", z.msg != nullptr ? z.msg : "unknown code");
    } else if (at_end && z.avail_out != 0) {
      damaged(path, "gzip", concat("truncated after ", text.size(), " bytes of text"));
    }
  }
}

std::string unzstd(const std::string& packed, const std::filesystem::path& path) {
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  std::string text;
  std::vector<char> chunk(kChunk);
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  size_t left = 1;
  while (in.pos < in.size) {
    ZSTD_outBuffer out{chunk.data(), chunk.size(), 0};
    left = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(left)) damaged(path, "zstd", ZSTD_getErrorName(left));
    text.append(chunk.data(), out.pos);
    while (out.pos == out.size) {  // more may wait inside than one chunk holds
      out.pos = 0;
      left = ZSTD_decompressStream(context.get(), &out, &in);
      if (ZSTD_isError(left)) damaged(path, "zstd", ZSTD_getErrorName(left));
      text.append(chunk.data(), out.pos);
    }
  }
  if (left != 0) damaged(path, "zstd", concat("truncated after ", text.size(), " bytes of text"));
  return text;
}

}  // namespace

std::string read_unpacked(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw DataError(path.string() + ": cannot be opened for reading");
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (bytes.starts_with("\x1f\x8b")) return gunzip(bytes, path);
  if (bytes.starts_with("\x28\xb5\x2f\xfd")) return unzstd(bytes, path);
  return bytes;
}

}  // namespace birkhoff
