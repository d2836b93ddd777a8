#include <algorithm>
#include <array>
#include <cstring>

#include "data/file/regular_file.h"
#include "data/hdf5/bulk_file.h"
#include "data/hdf5/file.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {
// Layout of the superblock, versions 2 and 3: signature [8], version, offset size, length size, flags, base address
// [8], extension address [8], end of file [8], all little-endian. Source: HDF5 File Format Specification 3.0, section
// II.A.
constexpr std::array<unsigned char, 8> kSignature{0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
constexpr size_t kVersion = 8, kOffsetSize = 9, kLengthSize = 10, kEndOfFile = 28, kHeaderBytes = 36;

uint64_t little_endian_64(const unsigned char* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}
}  // namespace

void check_h5_size(const std::filesystem::path& path) {
  const auto found = static_cast<uint64_t>(regular_file_bytes(path));
  if (found == 0) throw DataError(path.string() + ": the file is empty (0 bytes)");
  std::array<unsigned char, kHeaderBytes> head{};
  BulkFile::open_to_read(path).read(0, head.data(), std::min<uint64_t>(found, kHeaderBytes));
  if (std::memcmp(head.data(), kSignature.data(), kSignature.size()) != 0)
    throw DataError(path.string() + ": not an HDF5 file: its first 8 bytes are not the signature");
  if (found < kHeaderBytes)
    throw DataError(concat(path.string(), ": truncated: ", found, " bytes do not hold the header"));
  // Older versions keep metadata without checksums, and none of our files uses them.
  if ((head[kVersion] != 2 && head[kVersion] != 3) || head[kOffsetSize] != 8 || head[kLengthSize] != 8)
    throw DataError(concat(path.string(), ": has a superblock of version ", int{head[kVersion]}, " with offsets of ",
                           int{head[kOffsetSize]}, " bytes and lengths of ", int{head[kLengthSize]},
                           ", expected version 3 and 8 bytes, as HDF5 1.10 writes them"));
  const uint64_t expected = little_endian_64(&head[kEndOfFile]);
  if (found < expected)
    throw DataError(concat(path.string(), ": truncated: expected ", expected, " bytes, found ", found));
  if (found > expected)
    throw DataError(concat(path.string(), ": wrong size: expected ", expected, " bytes, found ", found));
}

}  // namespace birkhoff
