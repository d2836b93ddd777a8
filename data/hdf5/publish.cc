#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <set>

#include <unistd.h>

#include "data/hdf5/bulk_file.h"
#include "kernels/core/hash.h"
#include "kernels/core/process_tag.h"

namespace birkhoff {
namespace {

// Whether a process made a file of this name by new_temporary() and was killed before it removed it. Up to version 0.1
// the temporary of `final` was named ".FINAL.PID.tmp".
bool is_leftover(const std::string& name, const std::string& final) {
  constexpr std::string_view kEnd = ".tmp";
  if (!name.starts_with('.') || !name.ends_with(kEnd)) return false;
  const std::string stem = name.substr(0, name.size() - kEnd.size());
  if (stem.find(".birkhoff-") != stem.npos) return has_ended(stem);
  const std::string old = "." + final + ".";
  if (!stem.starts_with(old)) return false;
  const std::string pid = stem.substr(old.size());
  const bool digits = !pid.empty() && pid.size() < 10 && pid.find_first_not_of("0123456789") == pid.npos;
  return digits && !is_alive(std::stoi(pid));
}

void remove_leftovers(const std::filesystem::path& final) {
  const std::filesystem::path directory = final.has_parent_path() ? final.parent_path() : ".";
  std::vector<std::filesystem::path> leftovers;
  std::error_code error;  // ignored: a leftover that cannot be listed or removed does no harm
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_leftover(entry->path().filename().string(), final.filename().string())) leftovers.push_back(entry->path());
  }
  // Removed after the iteration, because removing entries during it may make it miss others.
  for (const std::filesystem::path& path : leftovers) ::unlink(path.c_str());
}

}  // namespace

std::filesystem::path new_temporary(const std::filesystem::path& final) {
  static std::mutex mutex;
  static std::set<std::filesystem::path> searched;
  {
    const std::lock_guard lock(mutex);
    if (searched.insert(final.parent_path()).second) remove_leftovers(final);
  }
  std::string name = final.filename().string();
  if (name.size() > 100) name = hex16(hash64(name.data(), name.size()));  // a file name has at most 255 bytes
  return final.parent_path() / concat(".", name, ".", process_tag(), ".tmp");
}

void publish_file(const std::filesystem::path& temporary, const std::filesystem::path& final) {
  // The contents must be on disk before the name is, or a crash could leave an empty file under the final name.
  BulkFile::open_to_write(temporary).sync();
  if (::rename(temporary.c_str(), final.c_str()) != 0) {
    throw IoError(concat(final.string(), ": cannot publish: ", std::strerror(errno)), errno);
  }
  sync_directory(final.has_parent_path() ? final.parent_path() : ".");
}

void write_text(const std::filesystem::path& path, const std::string& text, Durability durability) {
  const BulkFile out = BulkFile::create(path);
  out.write(0, text.data(), text.size());
  if (durability == Durability::durable) out.sync();
}

void publish_text(const std::filesystem::path& final, const std::string& text) {
  const auto temporary = new_temporary(final);
  try {
    BulkFile::create(temporary).write(0, text.data(), text.size());
    publish_file(temporary, final);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

}  // namespace birkhoff
