#include "data/ingest/unpack.h"

#include <gmock/gmock.h>
#include <zlib.h>
#include <zstd.h>

#include "data/ingest/content.h"
#include "kernels/core/error.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::HasSubstr;
using std::string_literals::operator""s;

// A skippable frame, as pzstd writes it before the data.
const std::string kSkippable = "\x50\x2a\x4d\x18\x04\0\0\0size"s;

std::string gzip(const std::string& text) {
  const TempDir dir;
  gzFile file = gzopen((dir / "a").c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  return read_file(dir / "a");
}

// Compresses through the streaming interface, which can leave the size of the content out of the frame.
std::string zstd(const std::string& text, int window_log, bool declares_size) {
  std::string packed(ZSTD_compressBound(text.size()) + 64, '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, declares_size);
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer out{packed.data(), packed.size(), 0};
  if (declares_size) ZSTD_CCtx_setPledgedSrcSize(context, text.size());
  if (!declares_size) ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);
  while (ZSTD_compressStream2(context, &out, &in, ZSTD_e_end) != 0) {
  }
  ZSTD_freeCCtx(context);
  packed.resize(out.pos);
  return packed;
}

class Unpack : public testing::Test {
 protected:
  std::string read(const std::string& bytes, int64_t max_bytes = 0) {
    write_file(dir_ / "a", bytes);
    try {
      return read_unpacked(dir_ / "a", {max_bytes});
    } catch (const DataError& error) {
      return error.what();
    }
  }
  TempDir dir_;
};

TEST_F(Unpack, DecidesByContentAndReadsConsecutiveFrames) {
  std::string text;
  for (int i = 0; i < 60000; ++i) text += concat("line ", int64_t{i} * i, "\n");
  EXPECT_EQ(read(text), text);
  EXPECT_EQ(read(gzip(text.substr(0, 99)) + gzip(text.substr(99)) + std::string(512, '\0')), text);
  EXPECT_EQ(read(zstd(text, 20, true)), text);
  EXPECT_EQ(read(kSkippable + zstd(text.substr(0, 99), 20, true) + kSkippable + zstd(text.substr(99), 20, false)),
            text);
  EXPECT_EQ(read(kSkippable), "");
  EXPECT_TRUE(text.starts_with(read_unpacked_head(dir_ / "a")));
}

TEST_F(Unpack, RefusesDamage) {
  const std::string text(100000, 'x');
  for (const std::string& packed : {gzip(text), zstd(text, 20, true)}) {
    EXPECT_THAT(read(packed.substr(0, packed.size() - 9)), HasSubstr("truncated"));
  }
  std::string flipped = gzip(text);
  flipped[flipped.size() - 6] ^= 1;
  EXPECT_THAT(read(flipped), HasSubstr("damaged gzip data"));
}

TEST_F(Unpack, NamesADictionary) {
  std::string packed = zstd("a text", 20, true);
  packed[4] |= 1;  // the flag for a dictionary ID of one byte, which follows the header
  const size_t header = packed[4] & 0x20 ? 5 : 6;
  EXPECT_THAT(read(concat(packed.substr(0, header), '\7', packed.substr(header))),
              HasSubstr("it was made with a dictionary (zstd -D)"));
}

// `zstd --long=31` requires a window of 2 GiB even for a text of a few bytes.
TEST_F(Unpack, ReadsTheLargestWindow) {
  std::string packed = zstd("a long window", 20, false);
  ASSERT_EQ(packed[4] & 0x20, 0);  // not a single segment, so the next byte is the window descriptor
  packed[5] = static_cast<char>((31 - 10) << 3);
  EXPECT_EQ(read(packed, int64_t{2} << 30), "a long window");
  EXPECT_THAT(read(packed, 1 << 20), HasSubstr("a window above 128 MiB"));
  packed[5] = static_cast<char>((33 - 10) << 3);
  EXPECT_THAT(read(packed, int64_t{2} << 30), HasSubstr("a window above 2048 MiB"));
}

TEST_F(Unpack, StopsAtTheLimit) {
  const std::string text(3 << 20, 'x');  // a multiple of the chunk size, so that nothing is left after the last chunk
  for (const std::string& packed : {gzip(text), zstd(text, 20, true), zstd(text, 20, false)}) {
    EXPECT_EQ(read(packed, 3 << 20), text);
    EXPECT_THAT(read(packed, 2 << 20), HasSubstr("at most 2097152 bytes of text of one file are held in memory"));
  }
  EXPECT_THAT(read(text, 2 << 20), HasSubstr("raise --max-file-mib"));
  std::string declared = zstd(text, 20, true);
  EXPECT_THAT(read(declared, 1), HasSubstr("but at most 1 bytes"));
}

TEST(ForeignFormat, NamesWhatIsNoText) {
  const std::pair<std::string, const char*> formats[] = {{"BZh91AY&SY", "bzip2"},
                                                         {"\x04\x22\x4d\x18", "lz4"},
                                                         {kSkippable + "\x04\x22\x4d\x18", "lz4"},
                                                         {"PK\x03\x04", "zip"},
                                                         {"PAR1\x15..PAR1", "Parquet"},
                                                         {"ARROW1\0\0"s, "Arrow"},
                                                         {"\x89HDF\r\n\x1a\n", "HDF5"},
                                                         {"SQLite format 3\0"s, "SQLite"},
                                                         {"%PDF-1.7", "PDF"},
                                                         {"\xff\xd8\xff\xe0", "JPEG"},
                                                         {"GIF89a", "GIF"},
                                                         {"RIFF....WEBP", "WebP"},
                                                         {"ID3\x04", "MP3"},
                                                         {"fLaC\0"s, "FLAC"},
                                                         {"RIFF....WAVE", "WAV"},
                                                         {"OggS\0"s, "Ogg"},
                                                         {"\0\0\0 ftypisom"s, "MP4"},
                                                         {"\x7f"
                                                          "ELF",
                                                          "program"},
                                                         {std::string(257, 'a') + "ustar", "tar"},
                                                         {"\x80\x04\x95", "pickle"},
                                                         {"\x93NUMPY", "NumPy"},
                                                         {"\x1f\x8b", "compressed twice"}};
  for (const auto& [bytes, name] : formats) EXPECT_THAT(foreign_format(bytes), HasSubstr(name));
  for (const char* text : {"BZh is short for", "PAR1 is a name", "RIFF raff WEBPages", "ID3 tags", "GGUF files hold"}) {
    EXPECT_EQ(foreign_format(text), "") << text;
  }
}

}  // namespace
}  // namespace birkhoff
