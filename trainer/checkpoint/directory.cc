#include "trainer/checkpoint/directory.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iomanip>

#include <fcntl.h>
#include <stdio.h>

#include "trainer/checkpoint/open_files.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;
constexpr const char *kFinished = "step-", *kUnfinished = ".unfinished-step-", *kReplaced = ".replaced-step-",
                     *kAbandoned = "abandoned-step-";

std::string numbered(const char* prefix, int64_t step) {
  std::ostringstream name;
  name << prefix << std::setw(8) << std::setfill('0') << step;
  return name.str();
}

// The step in a name with this prefix, or nullopt unless the name is exactly the one that numbered() gives to the step.
std::optional<int64_t> step_of(const fs::path& path, const std::string& prefix) {
  const std::string name = path.filename().string();
  if (!name.starts_with(prefix)) return std::nullopt;
  const std::string digits = name.substr(prefix.size());
  // 18 digits always fit into 63 bits, so that stoll() cannot overflow.
  if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != digits.npos)
    return std::nullopt;
  const int64_t step = std::stoll(digits);
  if (name != numbered(prefix.c_str(), step)) return std::nullopt;
  return step;
}

// Returns no entries if the directory does not exist.
std::vector<fs::path> entries_of(const fs::path& directory) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    entries.push_back(entry->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw DataError(concat(directory.string(), ": cannot be read: ", error.message()));
  }
  return entries;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

void rename_or_throw(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return;
  throw IoError(concat(to.string(), ": cannot publish: ", std::strerror(errno)), errno);
}

}  // namespace

std::string checkpoint_name(int64_t step) { return numbered(kFinished, step); }
std::string unfinished_name(int64_t step) { return numbered(kUnfinished, step); }

std::optional<int64_t> step_in_name(const fs::path& checkpoint) {
  const fs::path named = checkpoint.has_filename() ? checkpoint : checkpoint.parent_path();  // "step-00000008/"
  for (const char* prefix : {kFinished, kUnfinished, kReplaced, kAbandoned}) {
    if (const auto step = step_of(named, prefix)) return step;
  }
  return std::nullopt;
}

std::map<int64_t, fs::path> find_checkpoints(const fs::path& directory) {
  std::map<int64_t, fs::path> found;
  for (const fs::path& path : entries_of(directory)) {
    if (const auto step = step_of(path, kFinished)) found[*step] = path;
    // emplace() does not overwrite: a checkpoint under its final name wins over a replaced one.
    if (const auto step = step_of(path, kReplaced)) found.emplace(*step, path);
  }
  return found;
}

std::vector<int64_t> list_checkpoints(const fs::path& directory) {
  std::vector<int64_t> steps;
  for (const auto& [step, path] : find_checkpoints(directory)) steps.push_back(step);
  return steps;
}

std::vector<std::string> stray_files(const fs::path& checkpoint, const Manifest& manifest) {
  std::vector<std::string> strays;
  for (const fs::path& path : entries_of(checkpoint)) {
    const std::string name = path.filename().string();
    if (name != kManifestName && !manifest.files.contains(name)) strays.push_back(name);
  }
  std::sort(strays.begin(), strays.end());
  return strays;
}

// If the file system supports it, exchanges the two names in one call, so that the final name always refers to a
// checkpoint. Otherwise this takes two renames; between them, find_checkpoints() finds the old checkpoint under the
// name .replaced-step-00001000.
void give_name(const fs::path& directory, int64_t step) {
  const fs::path unfinished = directory / unfinished_name(step), name = directory / checkpoint_name(step);
  if (!is_there(name)) {
    rename_or_throw(unfinished, name);
  } else if (::renameat2(AT_FDCWD, unfinished.c_str(), AT_FDCWD, name.c_str(), RENAME_EXCHANGE) != 0) {
    const fs::path aside = directory / numbered(kReplaced, step);
    std::error_code ignored;  // if something remains, the rename below fails and reports it
    fs::remove_all(aside, ignored);
    rename_or_throw(name, aside);
    rename_or_throw(unfinished, name);
  }
  sync_directory(directory);
}

std::vector<fs::path> set_aside(const fs::path& directory, int64_t step) {
  std::vector<fs::path> entries = entries_of(directory), moved;
  std::sort(entries.begin(), entries.end());
  for (const fs::path& path : entries) {
    auto later = step_of(path, kFinished);
    if (!later) later = step_of(path, kReplaced);
    if (!later || *later <= step) continue;
    const std::string name = numbered(kAbandoned, *later);
    fs::path to = directory / name;
    // An abandoned checkpoint is never overwritten: this step may have been abandoned before.
    for (int i = 2; is_there(to); ++i) to = directory / concat(name, '.', i);
    if (::rename(path.c_str(), to.c_str()) != 0) {
      throw DataError(concat(path.string(), ": cannot be renamed to ", to.string(), ": ", std::strerror(errno)));
    }
    moved.push_back(to);
  }
  if (!moved.empty()) sync_directory(directory);
  return moved;
}

void tidy(const fs::path& directory) {
  std::error_code ignored;
  for (const fs::path& path : entries_of(directory)) {
    if (step_of(path, kUnfinished)) fs::remove_all(path, ignored);
    const auto replaced = step_of(path, kReplaced);
    if (!replaced) continue;
    const fs::path name = directory / checkpoint_name(*replaced);
    if (is_there(name)) {
      fs::remove_all(path, ignored);
    } else {
      // The process died between the two renames of give_name().
      fs::rename(path, name, ignored);
    }
  }
}

void prune(const fs::path& directory, int64_t keep, int64_t newest) {
  std::error_code ignored;
  tidy(directory);
  std::map<int64_t, fs::path> old = find_checkpoints(directory);
  old.erase(old.upper_bound(newest), old.end());
  // A folder with a checkpoint's name but without a manifest was not made by a save: leave it alone.
  std::erase_if(old, [](const auto& found) { return !is_there(found.second / kManifestName); });
  for (auto rest = static_cast<int64_t>(old.size()); rest > keep; --rest) {
    // Rename first: if the process dies during remove_all(), no half-deleted checkpoint is left under a checkpoint's
    // name.
    const auto oldest = old.begin();
    const fs::path doomed = directory / unfinished_name(oldest->first);
    fs::rename(oldest->second, doomed, ignored);
    fs::remove_all(doomed, ignored);
    old.erase(oldest);
  }
}

}  // namespace birkhoff
