#include "data/ingest/content.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "data/json/json.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view kGzip = "\x1f\x8b"sv, kZstd = "\x28\xb5\x2f\xfd"sv;
constexpr size_t kSkippableHeader = 8;  // magic number and size
constexpr size_t kCpioDigits = 76;      // at least this many digits begin each entry of a cpio archive
// Escape sequences that switch to a character set of two bytes.
constexpr std::string_view kIso2022[] = {"\x1b$B"sv, "\x1b$@"sv, "\x1b$)C"sv};

struct Signature {
  size_t offset;
  std::string_view bytes;
  const char* name;
};

constexpr Signature kSignatures[] = {
    {0, "\xfd\x37zXZ\0"sv, "data compressed by xz"},
    {0, "BZh"sv, "data compressed by bzip2"},  // confirmed() checks the six bytes after the level
    {0, "\x04\x22\x4d\x18"sv, "data compressed by lz4"},
    {0, "\x02\x21\x4c\x18"sv, "data compressed by lz4"},
    {0, "\x5d\0\0"sv, "data compressed by lzma"},
    {0, "\x1f\x9d"sv, "data compressed by compress"},
    {0, "\xff\x06\0\0sNaPpY"sv, "data compressed by snappy"},
    {0, "PK\x03\x04"sv, "a zip archive"},
    {0, "PK\x05\x06"sv, "a zip archive"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive"},
    {0, "Rar!\x1a\x07"sv, "a rar archive"},
    {257, "ustar"sv, "a tar archive"},
    {0, "070701"sv, "a cpio archive"},
    {0, "070707"sv, "a cpio archive"},
    {0, "PAR1"sv, "a Parquet file"},
    {0, "ARROW1\0"sv, "an Arrow file"},
    {0, "\xff\xff\xff\xff"sv, "an Arrow stream"},
    {0, "FEA1\0"sv, "a Feather file"},
    {0, "Obj\x01"sv, "an Avro file"},
    {0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file"},
    {0, "SQLite format 3\0"sv, "an SQLite database"},
    {0, "%PDF-"sv, "a PDF document"},
    {0, "{\\rtf"sv, "an RTF document"},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "a document of an older Office program"},
    {0, "\x89PNG\r\n\x1a\n"sv, "a PNG picture"},
    {0, "\xff\xd8\xff"sv, "a JPEG picture"},
    {0, "GIF87a"sv, "a GIF picture"},
    {0, "GIF89a"sv, "a GIF picture"},
    {8, "WEBP"sv, "a WebP picture"},
    {0, "II*\0"sv, "a TIFF picture"},
    {0, "MM\0*"sv, "a TIFF picture"},
    {0, "\0\0\x01\0"sv, "an icon"},
    {4, "ftyp"sv, "an MP4 film or a HEIF picture"},
    {0, "\x1a\x45\xdf\xa3"sv, "a Matroska film"},
    {8, "AVI "sv, "an AVI film"},
    {8, "WAVE"sv, "a WAV sound"},
    {0, "fLaC\0"sv, "a FLAC sound"},
    {0, "OggS\0"sv, "an Ogg sound or film"},
    {0, "ID3\x02"sv, "an MP3 sound"},
    {0, "ID3\x03"sv, "an MP3 sound"},
    {0, "ID3\x04"sv, "an MP3 sound"},
    {0, "\xff\xfb"sv, "an MP3 sound"},
    {0, "\xff\xf3"sv, "an MP3 sound"},
    {0, "\xff\xf2"sv, "an MP3 sound"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program"},
    {0, "\xcf\xfa\xed\xfe"sv, "a program"},
    {0, "\0asm"sv, "a program"},
    {0, "\xca\xfe\xba\xbe"sv, "a program"},
    {0, "!<arch>\n"sv, "a library"},
    {0, "\x93NUMPY"sv, "a NumPy array"},
    {0, "GGUF"sv, "weights in GGUF"},
    {0, "\x80\x02"sv, "a Python pickle"},
    {0, "\x80\x03"sv, "a Python pickle"},
    {0, "\x80\x04"sv, "a Python pickle"},
    {0, "\x80\x05"sv, "a Python pickle"},
    {0, "\xff\xfe\0\0"sv, "text in UTF-32; convert it with iconv -f UTF-32 -t UTF-8"},
    {0, "\0\0\xfe\xff"sv, "text in UTF-32; convert it with iconv -f UTF-32 -t UTF-8"},
    {0, "\xff\xfe"sv, "text in UTF-16; convert it with iconv -f UTF-16 -t UTF-8"},
    {0, "\xfe\xff"sv, "text in UTF-16; convert it with iconv -f UTF-16 -t UTF-8"},
};

bool has(std::string_view bytes, size_t offset, std::string_view part) {
  return bytes.size() >= offset && bytes.substr(offset).starts_with(part);
}

// Whether a matched signature is genuine. A signature of plain letters is not enough by itself, since ordinary text may
// begin with the same word.
bool confirmed(const Signature& signature, std::string_view bytes) {
  if (signature.offset == 8) return bytes.starts_with("RIFF");
  if (signature.bytes == "BZh") return has(bytes, 4, "1AY&SY") || has(bytes, 4, "\x17\x72\x45\x38\x50\x90");
  if (signature.bytes == "PAR1") return bytes.ends_with("PAR1") || (bytes.size() > 4 && bytes[4] < ' ');
  if (signature.bytes == "ftyp") return bytes.starts_with('\0');
  if (signature.bytes.starts_with("0707"))
    return std::min(bytes.find_first_not_of("0123456789abcdefABCDEF"), bytes.size()) >= kCpioDigits;
  if (signature.bytes == "GGUF") return bytes.size() >= 8 && bytes[7] == '\0';
  return true;
}

uint32_t little_endian_32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// Drops the skippable frames at the start of zstd or lz4 data, which share this kind of frame, and returns the rest,
// which begins with the first frame that holds data.
std::string_view skip_skippable_frames(std::string_view bytes) {
  while (bytes.size() >= kSkippableHeader && (little_endian_32(bytes) & ~15u) == 0x184d2a50) {
    const size_t frame = kSkippableHeader + little_endian_32(bytes.substr(4));
    if (frame >= bytes.size()) return bytes;
    bytes.remove_prefix(frame);
  }
  return bytes;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// The size of the JSON value that begins the text, judged by brackets and quotes alone. Returns the size of the whole
// text if the value does not end.
size_t size_of_value(std::string_view text) {
  bool in_string = false;
  size_t depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string && c == '\\') {
      ++at;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '{' || c == '[')) {
      ++depth;
    } else if (!in_string && (c == '}' || c == ']') && --depth == 0) {
      return at + 1;
    }
  }
  return text.size();
}

// Whether the text consists only of objects and arrays, one after another, as jq prints them or separated by commas.
bool is_json_series(std::string_view text) {
  while (text.starts_with('{') || text.starts_with('[')) {
    const size_t size = size_of_value(text);
    if (!Json::accept(text.substr(0, size))) return false;
    text = trimmed(text.substr(size));
    if (text.starts_with(',')) text = trimmed(text.substr(1));
  }
  return text.empty();
}

bool looks_like_object(std::string_view line) { return line.starts_with("{\"") && line.ends_with('}'); }

// Whether all lines but the first and the last look like objects, and more than one does. A part of a JSON lines file
// made by `split -b` looks like this: its first and last lines are cut.
bool inner_lines_are_objects(std::string_view text) {
  size_t objects = 0;
  for (size_t end = text.find('\n'); end != text.npos;) {
    const size_t begin = end + 1;
    end = text.find('\n', begin);
    const std::string_view line = trimmed(text.substr(begin, end - begin));
    if (looks_like_object(line)) {
      ++objects;
    } else if (!line.empty() && end != text.npos) {
      return false;
    }
  }
  return objects > 1;
}

// The suffix of the file in lower case, after suffixes of compression are removed: ".json" for "A.JSON.gz".
std::string suffix_of(std::filesystem::path name) {
  const auto lower = [&name] {
    std::string suffix = name.extension().string();
    for (char& c : suffix) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return suffix;
  };
  for (std::string suffix = lower();; suffix = lower()) {
    if (suffix != ".gz" && suffix != ".zst" && suffix != ".zstd" && suffix != ".dz") return suffix;
    name.replace_extension();
  }
}

// Byte counts that distinguish text from binary data.
struct Tally {
  size_t zeros = 0, controls = 0;
  size_t zeros_at[4] = {};  // zero bytes, by position modulo 4
};

Tally tally_of(std::string_view bytes) {
  Tally tally;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    if (byte >= 0x20) continue;
    if (byte == 0) ++tally.zeros_at[i % 4];
    tally.zeros += byte == 0;
    // BEL to CR (0x07 to 0x0d) and ESC occur in text.
    tally.controls += byte < 0x07 || (byte > 0x0d && byte != 0x1b);
  }
  return tally;
}

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.starts_with(kGzip); }

bool is_zstd(std::string_view bytes) {
  if (bytes.starts_with(kZstd)) return true;
  const std::string_view frame = skip_skippable_frames(bytes);
  // A file that consists only of skippable frames counts as zstd. If data follows them, its signature decides between
  // zstd and lz4.
  return bytes.size() >= kSkippableHeader && (little_endian_32(bytes) & ~15u) == 0x184d2a50 &&
         !frame.starts_with("\x04\x22\x4d\x18");
}

std::string foreign_format(std::string_view bytes) {
  if (skip_skippable_frames(bytes).starts_with("\x04\x22\x4d\x18")) return "data compressed by lz4";
  if (is_gzip(bytes) || is_zstd(bytes)) return "data that was compressed twice";
  for (const Signature& signature : kSignatures) {
    if (has(bytes, signature.offset, signature.bytes) && confirmed(signature, bytes)) return signature.name;
  }
  return {};
}

std::string foreign_content(std::string_view bytes) {
  const std::string format = foreign_format(bytes);
  if (!format.empty()) return format;
  for (const std::string_view escape : kIso2022) {
    if (bytes.find(escape) != bytes.npos)
      return "text in ISO-2022; convert it with iconv, such as iconv -f ISO-2022-JP -t UTF-8";
  }
  const Tally tally = tally_of(bytes);
  const size_t zeros = tally.zeros;
  const auto [even, odd] = std::pair(tally.zeros_at[0] + tally.zeros_at[2], tally.zeros_at[1] + tally.zeros_at[3]);
  // Latin letters in UTF-16 have a zero in every second byte, so nearly all zeros lie at even or at odd positions.
  if (zeros > 1 && 10 * zeros > 3 * bytes.size() && 20 * std::min(even, odd) < zeros) {
    return "text in UTF-16, or records of two bytes; convert it with iconv -f UTF-16LE -t UTF-8 (or UTF-16BE)";
  }
  // A stray zero byte in a large text is tolerated; so are a few control characters.
  if (1000 * zeros > bytes.size()) return concat("binary data (", zeros, " of ", bytes.size(), " bytes are zero)");
  if (20 * tally.controls > bytes.size()) {
    return concat("binary data (", tally.controls, " of ", bytes.size(), " bytes are control characters)");
  }
  return {};
}

TextFormat choose_format(const std::filesystem::path& name, std::string_view text, const std::string& place) {
  if (text.starts_with(kUtf8Mark)) text.remove_prefix(kUtf8Mark.size());
  const std::string foreign = foreign_content(text);
  if (!foreign.empty()) {
    throw DataError(concat(place, ": holds ", foreign,
                           "; expected text or JSON lines, plain or compressed by gzip or zstd. Convert it or leave it "
                           "out; --format text takes its bytes as they are"));
  }
  const std::string suffix = suffix_of(name);
  if (suffix == ".jsonl" || suffix == ".ndjson" || suffix == ".jsonlines") return TextFormat::json_lines;
  const std::string_view body = trimmed(text);
  if (body.empty()) return TextFormat::text;
  const std::string_view first = trimmed(body.substr(0, body.find('\n')));
  const bool is_json = suffix == ".json";
  // The first line needs only to look like an object: it may not be valid JSON (some writers print NaN), and an invalid
  // line gets its own message when it is read.
  if (looks_like_object(first) || (first.starts_with('{') && first.size() > 2 && Json::accept(first)) ||
      inner_lines_are_objects(body)) {
    return TextFormat::json_lines;
  }
  const bool looks_like_document = body.starts_with('{') || body.starts_with('[');
  if (is_json || (looks_like_document && Json::accept(body))) {
    throw DataError(concat(
        place, is_json && !Json::accept(body) ? ": is called .json and is no JSON lines" : ": is one JSON document",
        "; expected one object a line. Convert it, such as with jq -c '.[]', or let --format text take "
        "it as it stands"));
  }
  if (is_json_series(body)) {
    throw DataError(concat(place,
                           ": is a series of JSON values; expected one object a line. Convert it, such as with jq -c "
                           "., or let --format text take it as it stands"));
  }
  return TextFormat::text;
}

}  // namespace birkhoff
