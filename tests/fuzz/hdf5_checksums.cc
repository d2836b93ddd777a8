#include "tests/fuzz/hdf5_checksums.h"

#include <cstring>
#include <vector>

#include "data/hdf5/bulk_file.h"
#include "data/shard/format.h"

namespace birkhoff {
namespace {

uint32_t rotated(uint32_t x, int bits) { return x << bits | x >> (32 - bits); }

// Source: Bob Jenkins, lookup3.c, hashlittle() with an initial value of 0; HDF5 File Format Specification 3.0,
// "Checksum".
uint32_t lookup3(const char* data, size_t length) {
  uint32_t a = 0xdeadbeef + static_cast<uint32_t>(length), b = a, c = a;
  const auto* k = reinterpret_cast<const unsigned char*>(data);
  const auto word = [&k](size_t at, size_t end) {
    uint32_t value = 0;
    for (size_t i = at; i < at + 4 && i < end; ++i) value |= static_cast<uint32_t>(k[i]) << (8 * (i - at));
    return value;
  };
  while (length > 12) {
    a += word(0, 12), b += word(4, 12), c += word(8, 12);
    a -= c, a ^= rotated(c, 4), c += b;
    b -= a, b ^= rotated(a, 6), a += c;
    c -= b, c ^= rotated(b, 8), b += a;
    a -= c, a ^= rotated(c, 16), c += b;
    b -= a, b ^= rotated(a, 19), a += c;
    c -= b, c ^= rotated(b, 4), b += a;
    k += 12, length -= 12;
  }
  if (length == 0) return c;
  a += word(0, length), b += word(4, length), c += word(8, length);
  c ^= b, c -= rotated(b, 14);
  a ^= c, a -= rotated(c, 11);
  b ^= a, b -= rotated(a, 25);
  c ^= b, c -= rotated(b, 16);
  a ^= c, a -= rotated(c, 4);
  b ^= a, b -= rotated(a, 14);
  c ^= b, c -= rotated(b, 24);
  return c;
}

uint64_t number(const std::string& file, size_t at, size_t bytes) {
  uint64_t value = 0;
  if (bytes <= file.size() && at <= file.size() - bytes) std::memcpy(&value, file.data() + at, bytes);
  return value;
}

// Writes the checksum of a block of `length` bytes into its last four bytes.
void sign(std::string& file, size_t at, uint64_t length) {
  if (length < 8 || at >= file.size() || length > file.size() - at) return;
  const uint32_t checksum = lookup3(file.data() + at, length - 4);
  std::memcpy(file.data() + at + length - 4, &checksum, 4);
}

// Walks the messages of an object header and writes the checksums of its continuation blocks.
void sign_messages(std::string& file, size_t at, size_t end, bool tracks_order, int depth) {
  while (at + 4 <= end && depth < 8) {
    const uint64_t type = number(file, at, 1), size = number(file, at + 1, 2);
    at += tracks_order ? 6 : 4;
    if (type == 0x10 && size >= 16) {
      const uint64_t block = number(file, at, 8), length = number(file, at + 8, 8);
      if (block < file.size() && length >= 8 && length <= file.size() - block) {
        sign_messages(file, block + 4, block + length - 4, tracks_order, depth + 1);
        sign(file, block, length);
      }
    }
    at += size;
  }
}

void sign_object_header(std::string& file, size_t begin) {
  const uint64_t flags = number(file, begin + 5, 1);
  size_t at = begin + 6;
  if (flags & 0x20) at += 16;  // time stamps
  if (flags & 0x10) at += 4;   // thresholds for storing attributes elsewhere
  const size_t width = size_t{1} << (flags & 3);
  const uint64_t size = number(file, at, width);
  at += width;
  if (at >= file.size() || size > file.size() - at) return;
  sign_messages(file, at, at + size, (flags & 4) != 0, 0);
  sign(file, begin, at + size + 4 - begin);
}

// The links of a group with many links are stored in blocks of their own, each of which ends with its checksum. The
// exception is the direct block, which holds the links themselves: its checksum is in its header, and is computed with
// that field set to zero.
void sign_direct_block(std::string& file, size_t at) {
  uint64_t size = 512;
  for (uint64_t begin = number(file, at + 13, 4); begin >= 4096 && size < 65536; begin /= 2) size *= 2;
  if (size > file.size() - at) return;
  std::memset(file.data() + at + 17, 0, 4);
  const uint32_t checksum = lookup3(file.data() + at, size);
  std::memcpy(file.data() + at + 17, &checksum, 4);
}

void sign_heap(std::string& file, size_t at) {
  const uint64_t root = number(file, at + 132, 8), rows = number(file, at + 140, 2);
  if (rows > 0 && rows < 32) sign(file, root, 17 + 32 * rows + 4);
  sign(file, at, 146);
}

// Handles trees of at most two levels.
void sign_index(std::string& file, size_t at) {
  const uint64_t record = number(file, at + 10, 2), depth = number(file, at + 12, 2);
  const uint64_t root = number(file, at + 16, 8), records = number(file, at + 24, 2);
  const uint64_t pointers = root + 6 + record * records;
  for (uint64_t i = 0; depth == 1 && i <= records; ++i) {
    const uint64_t leaf = number(file, pointers + 9 * i, 8), count = number(file, pointers + 9 * i + 8, 1);
    if (leaf < file.size() && file.compare(leaf, 4, "BTLF") == 0) sign(file, leaf, 6 + record * count + 4);
  }
  sign(file, root, 6 + record * records + (depth == 1 ? 9 * (records + 1) : 0) + 4);
  sign(file, at, 38);
}

void sign_all(std::string& file, const char* signature, void (*sign_block)(std::string& file, size_t at)) {
  for (size_t at = file.find(signature); at != file.npos; at = file.find(signature, at + 4)) sign_block(file, at);
}

}  // namespace

void make_h5_checksums(std::string& file) {
  if (file.size() < 48 || !file.starts_with("\x89HDF")) return;
  const uint64_t size = file.size();
  std::memcpy(file.data() + 28, &size, 8);
  sign(file, 0, 48);
  sign_all(file, "OHDR", sign_object_header);
  sign_all(file, "FHDB", sign_direct_block);
  sign_all(file, "FRHP", sign_heap);
  sign_all(file, "BTHD", sign_index);
}

void make_shard_checksum(const std::filesystem::path& path, std::string& bytes) {
  const H5File h5 = H5File::open(path);
  const H5Group root = h5.root();
  const int64_t old = root.integer("index_checksum");
  const H5Dataset samples = root.dataset("samples"), segments = root.dataset("segments");
  const auto table = [&](const H5Dataset& d) { return bytes.substr(static_cast<size_t>(d.offset), d.bytes()); };
  const std::string a = table(samples), b = table(segments);
  std::vector<SampleRow> rows(a.size() / sizeof(SampleRow));
  std::vector<SegmentRow> parts(b.size() / sizeof(SegmentRow));
  std::memcpy(static_cast<void*>(rows.data()), a.data(), rows.size() * sizeof(SampleRow));
  std::memcpy(static_cast<void*>(parts.data()), b.data(), parts.size() * sizeof(SegmentRow));
  const uint64_t checksum = index_checksum_of(rows, parts);
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&old), 8));
  if (at != bytes.npos) std::memcpy(bytes.data() + at, &checksum, 8);
}

}  // namespace birkhoff
