#include <cerrno>
#include <cstring>
#include <set>

#include "data/file/regular_file.h"
#include "kernels/core/defects.h"
#include "kernels/core/hash.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/layout.h"
#include "trainer/checkpoint/open_files.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;
constexpr size_t kBlock = size_t{4} << 20;

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

// Adds a defect if the file is missing or has another kind or size. Returns whether the file has no such defect.
bool check_file(const fs::path& path, const Manifest::File& file, Defects& defects) {
  if (file.bytes == Manifest::File::kUnreadable) return false;
  try {
    const int64_t bytes = regular_file_bytes(path);
    if (bytes != file.bytes) throw DataError(concat(path.string(), ": ", bytes, " bytes, expected ", file.bytes));
    return true;
  } catch (const IoError& e) {
    defects.add(e.code() == ENOENT ? path.string() + ": the file is missing" : e.what());
  } catch (const DataError& e) {
    defects.add(e.what());
  }
  return false;
}

// A run chooses which checkpoint to resume from, and which to remove, by the names of the folders. So a folder's name
// must agree with its manifest.
void check_name(const fs::path& checkpoint, const Manifest& manifest) {
  const std::optional<int64_t> step = step_in_name(checkpoint);
  if (!step || *step == manifest.step || manifest.step == Manifest::kUnreadableStep) return;
  throw DataError(concat(checkpoint.string(), ": its manifest is of step ", manifest.step, ", its name of step ", *step,
                         ". Give it the name of its step, ", checkpoint_name(manifest.step), ", or move it elsewhere"));
}

// Advice for a user who named the folder of a run, or of its checkpoints, instead of a checkpoint.
std::string checkpoints_in(const fs::path& folder) {
  std::error_code ignored;
  for (const fs::path& path : {folder, folder / "checkpoints"}) {
    if (!fs::is_directory(path, ignored)) continue;
    const auto found = find_checkpoints(path);
    if (!found.empty()) return concat(". It holds checkpoints; name one, such as ", found.rbegin()->second.string());
  }
  return {};
}

std::string read_manifest_text(const fs::path& checkpoint) {
  const fs::path path = checkpoint / kManifestName;
  try {
    return read_regular_file(path);
  } catch (const IoError& e) {
    throw DataError(concat(path.string(), ": the file is missing or cannot be read: ", std::strerror(e.code()),
                           checkpoints_in(checkpoint)));
  }
}

// A checkpoint's manifest as far as it can be read, and the files that may be read because their kind and size are
// right.
struct Readable {
  Manifest manifest;
  std::set<std::string> files;
};

// Adds the defects of the manifest, of its layout and of the file sizes. Each kind is collected in a list of its own,
// so that many defects of one kind do not crowd out the others.
Readable read_manifest(const fs::path& checkpoint, Defects& defects) {
  const fs::path path = checkpoint / kManifestName;
  Defects values, layout, sizes;
  Readable r;
  r.manifest = parse_manifest(read_manifest_text(checkpoint), path.string(), values);
  for (const std::string& name : check_layout(r.manifest, layout)) r.manifest.tensors.erase(name);
  values.check([&] { check_name(checkpoint, r.manifest); });
  for (const auto& [name, file] : r.manifest.files) {
    if (check_file(checkpoint / name, file, sizes)) r.files.insert(name);
  }
  for (const Defects* kind : {&values, &layout, &sizes}) defects.append(*kind);
  return r;
}

}  // namespace

Manifest open_checkpoint(const fs::path& checkpoint) {
  Defects defects;
  Readable r = read_manifest(checkpoint, defects);
  defects.throw_if_any(checkpoint.string());
  return std::move(r.manifest);
}

Manifest verify_checkpoint(const fs::path& checkpoint, int share, int shares) {
  Defects defects, bytes;
  Readable r = read_manifest(checkpoint, defects);
  const Manifest& m = r.manifest;
  OpenFiles files(checkpoint);
  int turn = 0;
  // Every rank counts all files and parts, even those that may not be read, so that all ranks number them alike.
  auto mine = [&](const std::string& file) { return turn++ % shares == share && r.files.contains(file); };
  for (const auto& [name, file] : m.files) {
    if (!mine(name)) continue;
    bytes.check([&, &name = name, &file = file] {
      if (file.xxh3.empty()) return check_layout(checkpoint, m, name);
      compare((checkpoint / name).string(), hash_range(files.at(name), 0, file.bytes), file.xxh3);
    });
  }
  for (const auto& [name, entry] : m.tensors) {
    for (const Manifest::Part& part : entry.parts) {
      if (!mine(part.file)) continue;
      bytes.check([&, &name = name, &entry = entry] {
        const std::string what = concat(name, " in ", (checkpoint / part.file).string(), " at byte ", part.offset);
        compare(what, hash_range(files.at(part.file), part.offset, bytes_of(entry, part)), part.xxh3);
      });
    }
  }
  defects.append(bytes);
  defects.throw_if_any(checkpoint.string());
  return std::move(r.manifest);
}

}  // namespace birkhoff
