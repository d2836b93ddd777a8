#include "trainer/checkpoint/directory.h"

#include <algorithm>
#include <fstream>
#include <iomanip>
#include <set>

#include "data/hdf5/bulk_file.h"
#include "kernels/core/hash.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kPrefix = "step-", kUnfinished = ".unfinished-step-";
constexpr size_t kBlock = size_t{4} << 20;

std::string numbered(std::string_view prefix, int64_t step) {
  std::ostringstream name;
  name << prefix << std::setw(8) << std::setfill('0') << step;
  return name.str();
}

std::optional<int64_t> step_of(const std::string& name, std::string_view prefix) {
  const std::string digits = name.substr(std::min(name.size(), prefix.size()));
  const bool number = !digits.empty() && digits.size() < 19 && std::all_of(digits.begin(), digits.end(), ::isdigit);
  if (!name.starts_with(prefix) || !number) return std::nullopt;
  return std::stoll(digits);
}

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

std::string checkpoint_name(int64_t step) { return numbered(kPrefix, step); }
std::string unfinished_name(int64_t step) { return numbered(kUnfinished, step); }

std::vector<int64_t> list_checkpoints(const fs::path& directory) {
  std::vector<int64_t> steps;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (const auto step = step_of(entry.path().filename().string(), kPrefix)) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

Manifest open_checkpoint(const fs::path& checkpoint) {
  const fs::path path = checkpoint / kManifestName;
  const Manifest m = parse_manifest(read_text(path), path.string());
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
  const Manifest m = open_checkpoint(checkpoint);
  int turn = 0;
  auto mine = [&] { return turn++ % shares == share; };
  for (const auto& [name, file] : m.files) {
    if (file.xxh3.empty() || !mine()) continue;
    const BulkFile in = BulkFile::open_to_read(checkpoint / name);
    compare((checkpoint / name).string(), hash_range(in, 0, file.bytes), file.xxh3);
  }
  for (const auto& [name, entry] : m.tensors) {
    for (const Manifest::Part& part : entry.parts) {
      if (!mine()) continue;
      const BulkFile in = BulkFile::open_to_read(checkpoint / part.file);
      const std::string what = concat(name, " in ", (checkpoint / part.file).string(), " at byte ", part.offset);
      compare(what, hash_range(in, part.offset, part.count * static_cast<int64_t>(size_of(entry.dtype))), part.xxh3);
    }
  }
  return m;
}

void prune(const fs::path& directory, int64_t keep) {
  std::vector<int64_t> steps = list_checkpoints(directory);
  for (int64_t i = 0; i + keep < static_cast<int64_t>(steps.size()); ++i) {
    // Renamed first, so that a kill in between leaves no half checkpoint under a checkpoint's name.
    const int64_t step = steps[static_cast<size_t>(i)];
    const fs::path doomed = directory / unfinished_name(step);
    std::error_code ignored;
    fs::remove_all(doomed, ignored);
    fs::rename(directory / checkpoint_name(step), doomed, ignored);
    fs::remove_all(doomed, ignored);
  }
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (step_of(entry.path().filename().string(), kUnfinished)) fs::remove_all(entry.path(), ignored);
  }
}

}  // namespace birkhoff
