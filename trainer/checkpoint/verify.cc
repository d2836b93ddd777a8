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

// Missing files, and those of another kind or size, are added. Whether the file is as it should be.
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

// Which checkpoint a run goes on from, and which it removes, goes by the names of their folders.
void check_name(const fs::path& checkpoint, const Manifest& manifest) {
  const std::optional<int64_t> step = step_in_name(checkpoint);
  if (!step || *step == manifest.step || manifest.step == Manifest::kUnreadableStep) return;
  throw DataError(concat(checkpoint.string(), ": its manifest is of step ", manifest.step, ", its name of step ", *step,
                         ". Give it the name of its step, ", checkpoint_name(manifest.step), ", or move it elsewhere"));
}

// What to name instead of the folder of a run or of its checkpoints.
std::string checkpoints_in(const fs::path& folder) {
  std::error_code ignored;
  for (const fs::path& path : {folder, folder / "checkpoints"}) {
    if (!fs::is_directory(path, ignored)) continue;
    const auto found = find_checkpoints(path);
    if (!found.empty()) return concat(". It holds checkpoints; name one, such as ", found.rbegin()->second.string());
  }
  return {};
}

// Reads the manifest; what is wrong with it or with the sizes of the files is added. `whole` are the files that may be
// read; tensors that may not are left out.
Manifest read_manifest(const fs::path& checkpoint, Defects& defects, std::set<std::string>& whole) {
  const fs::path path = checkpoint / kManifestName;
  std::string text;
  try {
    text = read_regular_file(path);
  } catch (const IoError& e) {
    throw DataError(concat(path.string(), ": the file is missing or cannot be read: ", std::strerror(e.code()),
                           checkpoints_in(checkpoint)));
  }
  Defects in_manifest;
  Manifest m = parse_manifest(text, path.string(), in_manifest);
  for (const std::string& name : check_layout(m, in_manifest)) m.tensors.erase(name);
  defects.check([&] { in_manifest.throw_if_any(path.string()); });
  defects.check([&] { check_name(checkpoint, m); });
  for (const auto& [name, file] : m.files) {
    if (check_file(checkpoint / name, file, defects)) whole.insert(name);
  }
  return m;
}

}  // namespace

Manifest open_checkpoint(const fs::path& checkpoint) {
  Defects defects;
  std::set<std::string> whole;
  Manifest m = read_manifest(checkpoint, defects, whole);
  defects.throw_if_any(checkpoint.string());
  return m;
}

Manifest verify_checkpoint(const fs::path& checkpoint, int share, int shares) {
  Defects defects;
  std::set<std::string> whole;
  Manifest m = read_manifest(checkpoint, defects, whole);
  OpenFiles files(checkpoint);
  int turn = 0;
  auto mine = [&](const std::string& file) { return turn++ % shares == share && whole.contains(file); };
  for (const auto& [name, file] : m.files) {
    if (!mine(name)) continue;
    defects.check([&, &name = name, &file = file] {
      if (file.xxh3.empty()) return check_layout(checkpoint, m, name);
      compare((checkpoint / name).string(), hash_range(files.at(name), 0, file.bytes), file.xxh3);
    });
  }
  for (const auto& [name, entry] : m.tensors) {
    for (const Manifest::Part& part : entry.parts) {
      if (!mine(part.file)) continue;
      defects.check([&, &name = name, &entry = entry] {
        const std::string what = concat(name, " in ", (checkpoint / part.file).string(), " at byte ", part.offset);
        compare(what, hash_range(files.at(part.file), part.offset, bytes_of(entry, part)), part.xxh3);
      });
    }
  }
  defects.throw_if_any(checkpoint.string());
  return m;
}

}  // namespace birkhoff
