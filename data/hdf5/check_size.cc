#include <array>
#include <cstring>
#include <fstream>

#include "data/hdf5/file.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {
// Versions 2 and 3 of the superblock: signature [8], version, offset size, length size, flags, base address [8],
// extension address [8], end of file [8], little-endian. Source: HDF5 File Format Specification 3.0, section II.A.
constexpr std::array<unsigned char, 8> kSignature{0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
constexpr size_t kVersion = 8, kOffsetSize = 9, kEndOfFile = 28, kHeaderBytes = 36;

uint64_t little_endian_64(const unsigned char* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}
}  // namespace

void check_h5_size(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    throw DataError(path.string() + ": not a regular file");
  const uint64_t found = std::filesystem::file_size(path, error);
  if (error == std::errc::no_such_file_or_directory) throw DataError(path.string() + ": no such file");
  if (error) throw DataError(path.string() + ": " + error.message());
  if (found == 0) throw DataError(path.string() + ": the file is empty (0 bytes)");

  std::array<unsigned char, kHeaderBytes> head{};
  std::ifstream in(path, std::ios::binary);
  if (!in)
    throw DataError(path.string() +
                    (std::filesystem::exists(path, error) ? ": cannot be opened for reading" : ": no such file"));
  in.read(reinterpret_cast<char*>(head.data()), kHeaderBytes);
  if (std::memcmp(head.data(), kSignature.data(), kSignature.size()) != 0)
    throw DataError(path.string() + ": not an HDF5 file: its first 8 bytes are not the signature");
  if (in.gcount() < static_cast<std::streamsize>(kHeaderBytes))
    throw DataError(concat(path.string(), ": truncated: ", found, " bytes do not hold the header"));
  if ((head[kVersion] != 2 && head[kVersion] != 3) || head[kOffsetSize] != 8) return;  // HDF5 will judge
  const uint64_t expected = little_endian_64(&head[kEndOfFile]);
  if (found < expected)
    throw DataError(concat(path.string(), ": truncated: expected ", expected, " bytes, found ", found));
  if (found > expected)
    throw DataError(concat(path.string(), ": wrong size: expected ", expected, " bytes, found ", found));
}

}  // namespace birkhoff
