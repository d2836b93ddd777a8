#include "data/ingest/inputs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include <sys/stat.h>

#include "data/file/regular_file.h"
#include "data/tokenizer/unicode.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& path, const char* action, int code) {
  throw IoError(concat(shown(path), ": cannot ", action, ": ", std::strerror(code)), code);
}

// Pipes are refused because every input is opened twice, first to recognize its format and then to read it, and the
// first read would consume the data.
[[noreturn]] void refuse_stream(const fs::path& path, mode_t mode) {
  throw DataError(concat(shown(path), ": is a ",
                         S_ISFIFO(mode)   ? "pipe"
                         : S_ISSOCK(mode) ? "socket"
                                          : "device",
                         ", expected a file or a folder. Files compressed by gzip or zstd are read as they are; write "
                         "other text to a file and name that"));
}

// Whether a folder is a dataset made by `birkhoff data ingest`. Its files hold tokens and records, not text.
bool is_dataset(const fs::path& folder) {
  const fs::path manifest = folder / "dataset.json";
  struct stat status {};
  if (::stat(manifest.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  return read_regular_file(manifest).find("\"birkhoff.dataset\"") != std::string::npos;
}

// The skipped entries, counted by reason, with one entry of each kind as an example.
class SkippedInputs {
 public:
  void add(const char* reason, const fs::path& path) {
    auto& [count, example] = kinds_[reason];
    if (count++ == 0) example = shown(path);
  }
  void report(const Log& log) const {
    for (const auto& [reason, kind] : kinds_) {
      const std::string more = kind.first > 1 ? concat(" and ", kind.first - 1, " more") : "";
      if (log) log(concat("passed over ", kind.second, more, ": ", reason));
    }
  }

 private:
  std::map<std::string, std::pair<int64_t, std::string>> kinds_;
};

class Finder {
 public:
  explicit Finder(const fs::path& output) {
    struct stat status {};
    if (!output.empty() && ::stat(output.c_str(), &status) == 0) output_ = {status.st_dev, status.st_ino};
  }

  void add(const std::string& path) {
    BK_CHECK(!path.empty(), "the name of an input is empty; name a file or a folder");
    struct stat status {};
    const int code = ::stat(path.c_str(), &status) == 0 ? 0 : errno;
    BK_CHECK(code != ENOENT, "there is no file or folder ", shown(path));
    if (code != 0) refuse(path, "look at it", code);
    if (S_ISREG(status.st_mode)) return add_file(path, status);
    if (!S_ISDIR(status.st_mode)) refuse_stream(path, status.st_mode);
    BK_CHECK(!is_dataset(path), shown(path),
             " is a dataset that birkhoff data ingest made: it holds tokens, and text is expected");
    std::vector<fs::path> found;
    walk(path, found);
    std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
    for (const fs::path& file : found) {
      if (::stat(file.c_str(), &status) != 0) refuse(file, "look at it", errno);
      add_file(file, status);
    }
  }

  std::vector<fs::path> finish(const Log& log) {
    skipped_.report(log);
    BK_CHECK(!files_.empty(), "no text is given: name at least one file, or a folder that holds one");
    return std::move(files_);
  }

 private:
  using Identity = std::pair<dev_t, ino_t>;

  void add_file(const fs::path& path, const struct stat& status) {
    // Device and inode identify a file whatever its path: "a", "./a" and a link to it are the same file.
    const Identity identity{status.st_dev, status.st_ino};
    if (!seen_.insert(identity).second) return skipped_.add("the same file was named before; it is read once", path);
    files_.push_back(path);
  }

  void walk(const fs::path& folder, std::vector<fs::path>& found) {
    std::error_code error;
    fs::directory_iterator entry(folder, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) visit(entry->path(), found);
    if (error) refuse(folder, "list this folder", error.value());
  }

  void visit(const fs::path& path, std::vector<fs::path>& found) {
    if (path.filename().native().starts_with('.')) return skipped_.add("its name is hidden", path);
    struct stat link {
    }, status{};
    if (::lstat(path.c_str(), &link) != 0) {
      if (errno == ENOENT) return;  // removed since the folder was listed
      refuse(path, "look at it", errno);
    }
    const bool is_link = S_ISLNK(link.st_mode);
    if (::stat(path.c_str(), &status) != 0) {
      if (is_link && (errno == ENOENT || errno == ELOOP)) {
        return skipped_.add("it is a symbolic link that leads to no file", path);
      }
      refuse(path, "look at it", errno);
    }
    if (S_ISREG(status.st_mode)) return found.push_back(path);
    if (!S_ISDIR(status.st_mode)) return skipped_.add("it is neither a file nor a folder", path);
    if (is_link) return skipped_.add("it is a symbolic link to a folder; name that folder to read it", path);
    if (output_ == Identity{status.st_dev, status.st_ino}) return skipped_.add("it is the folder of the output", path);
    if (is_dataset(path)) return skipped_.add("it is a dataset that birkhoff data ingest made", path);
    walk(path, found);
  }

  Identity output_{};
  std::set<Identity> seen_;
  std::vector<fs::path> files_;
  SkippedInputs skipped_;
};

}  // namespace

std::string shown(const fs::path& path) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for_each_utf8_run(path.native(), [&](Utf8Run run) {
    for (const char c : run.bytes) {
      const auto byte = static_cast<unsigned char>(c);
      if (run.valid && byte >= 0x20 && byte != 0x7f) {
        out += c;
      } else {
        out += {'\\', 'x', kHex[byte / 16], kHex[byte % 16]};
      }
    }
  });
  return out;
}

std::vector<fs::path> find_inputs(const std::vector<std::string>& paths, const fs::path& output, const Log& log) {
  Finder finder(output);
  for (const std::string& path : paths) finder.add(path);
  return finder.finish(log);
}

}  // namespace birkhoff
