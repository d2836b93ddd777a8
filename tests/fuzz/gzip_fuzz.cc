// Unpacks the input as a gzip file, with its trailer (CRC and length) recomputed.
#include <cstring>

#include <zlib.h>

#include "data/ingest/unpack.h"
#include "tests/fuzz/harness.h"

namespace {

// Unpacks the deflate stream after a plain header of ten bytes, up to 1 MB of text, and writes the matching trailer.
void make_trailer(std::string& bytes) {
  z_stream stream{};
  if (bytes.size() < 10 || inflateInit2(&stream, -15) != Z_OK) return;
  std::string out(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(bytes.data() + 10);
  stream.avail_in = static_cast<uInt>(bytes.size() - 10);
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (inflate(&stream, Z_FINISH) == Z_STREAM_END) {
    const uint32_t length = static_cast<uint32_t>(stream.total_out);
    const auto crc = static_cast<uint32_t>(crc32(0, reinterpret_cast<Bytef*>(out.data()), length));
    bytes.resize(10 + stream.total_in + 8);
    std::memcpy(bytes.data() + bytes.size() - 8, &crc, 4);
    std::memcpy(bytes.data() + bytes.size() - 4, &length, 4);
  }
  inflateEnd(&stream);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  static const InputFile file(".gz");
  std::string bytes(reinterpret_cast<const char*>(data), size);
  const bool plain = bytes.size() > 10 && bytes[3] == 0;
  if (plain) make_trailer(bytes);
  expect_no_bug([&] {
    const std::string text = read_unpacked(file.write(bytes.data(), bytes.size()));
    // The input was unpacked, and the text is not that of the seeds.
    plant(bytes.starts_with("\x1f\x8b") && !text.starts_with("hello") && !text.empty());
  });
  return 0;
}
