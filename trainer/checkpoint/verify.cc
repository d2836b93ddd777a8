#include <fstream>

#include "kernels/core/hash.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/open_files.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;
constexpr size_t kBlock = size_t{4} << 20;

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw DataError(path.string() + ": the file is missing or cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string hash_range(const BulkFile& file, int64_t offset, int64_t bytes) {
  std::vector<char> block(std::min<size_t>(kBlock, static_cast<size_t>(bytes)));
  Hasher hasher;
  for (int64_t done = 0; done < bytes;) {
    const size_t part = std::min<size_t>(block.size(), static_cast<size_t>(bytes - done));
    file.read(offset + done, block.data(), part);
    hasher.update(block.data(), part);
    done += static_cast<int64_t>(part);
  }
  return hex16(hasher.digest());
}

void compare(const std::string& what, const std::string& found, const std::string& expected) {
  if (found != expected) throw DataError(concat(what, ": the checksum is ", found, ", expected ", expected));
}

}  // namespace

// Other programs go by HDF5's own view of a file.
void check_layout(const fs::path& checkpoint, const Manifest& m, const std::string& file) {
  const H5File h5 = H5File::open(checkpoint / file);
  const H5Group root = h5.root();
  for (const auto& [name, entry] : m.tensors) {
    for (const Manifest::Part& part : entry.parts) {
      if (part.file != file) continue;
      const H5Dataset d = root.dataset(name);
      const bool place = part.count == 0 || d.offset == part.offset;
      if (d.dtype == entry.dtype && d.shape.count() == part.count && place) continue;
      throw DataError(concat(name, " in ", (checkpoint / file).string(), ": HDF5 finds ", d.dtype, d.shape, " at byte ",
                             d.offset, ", expected ", entry.dtype, " [", part.count, "] at byte ", part.offset));
    }
  }
}

Manifest open_checkpoint(const fs::path& checkpoint) {
  const fs::path path = checkpoint / kManifestName;
  Manifest m = parse_manifest(read_text(path), path.string());
  for (const auto& [name, file] : m.files) {
    std::error_code missing;
    const auto bytes = fs::file_size(checkpoint / name, missing);
    if (missing) throw DataError(concat((checkpoint / name).string(), ": the file is missing"));
    if (static_cast<int64_t>(bytes) != file.bytes) {
      throw DataError(concat((checkpoint / name).string(), ": ", bytes, " bytes, expected ", file.bytes));
    }
  }
  return m;
}

Manifest verify_checkpoint(const fs::path& checkpoint, int share, int shares) {
  Manifest m = open_checkpoint(checkpoint);
  OpenFiles files(checkpoint);
  int turn = 0;
  auto mine = [&] { return turn++ % shares == share; };
  for (const auto& [name, file] : m.files) {
    if (!mine()) continue;
    if (file.xxh3.empty()) {
      check_layout(checkpoint, m, name);
    } else {
      compare((checkpoint / name).string(), hash_range(files.at(name), 0, file.bytes), file.xxh3);
    }
  }
  for (const auto& [name, entry] : m.tensors) {
    for (const Manifest::Part& part : entry.parts) {
      if (!mine()) continue;
      const std::string what = concat(name, " in ", (checkpoint / part.file).string(), " at byte ", part.offset);
      const int64_t bytes = part.count * static_cast<int64_t>(size_of(entry.dtype));
      compare(what, hash_range(files.at(part.file), part.offset, bytes), part.xxh3);
    }
  }
  return m;
}

}  // namespace birkhoff
