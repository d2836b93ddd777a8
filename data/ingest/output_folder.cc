#include "data/ingest/output_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/file/folder.h"
#include "data/file/regular_file.h"
#include "data/ingest/inputs.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = "birkhoff data ingest has begun here and has not ended\n";
constexpr size_t kMaxClaimBytes = 1 << 16;

bool is_shard(std::string_view name) {
  constexpr std::string_view kBegin = "shard-", kEnd = ".h5";
  if (!name.starts_with(kBegin) || !name.ends_with(kEnd) || name.size() < kBegin.size() + 5 + kEnd.size()) return false;
  name.remove_prefix(kBegin.size());
  name.remove_suffix(kEnd.size());
  return name.find_first_not_of("0123456789") == name.npos;
}

bool is_report(std::string_view name) { return name == "heldout.txt" || name == "bad_samples.jsonl"; }

// Whether new_temporary() gave this name to one of the files of a dataset.
bool is_temporary(std::string_view name) {
  const auto begins = [name](std::string_view beginning) { return name.starts_with(beginning); };
  return name.ends_with(".tmp") &&
         (begins(".shard-") || begins(".heldout.txt.") || begins(".bad_samples.jsonl.") || begins(".dataset.json."));
}

// The files in the folder that have names an ingestion writes, apart from dataset.json.
struct Written {
  std::vector<fs::path> files, temporaries;
};

Written find_written(const fs::path& output) {
  Written found;
  for (const fs::path& folder : {output, output / "train", output / "heldout"}) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (folder == output ? is_report(name) : is_shard(name)) found.files.push_back(entry.path());
      const bool is_folder = entry.symlink_status().type() == fs::file_type::directory;
      if (is_temporary(name) && !is_folder) found.temporaries.push_back(entry.path());
    }
  }
  return found;
}

// A line that identifies a file by inode, size and modification time, so that a file that has replaced it since is not
// taken for it.
std::string fingerprint_line(const fs::path& file) {
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0) return "no file\n";
  return concat("wrote ", file.filename().string(), " ", status.st_ino, " ", status.st_size, " ", status.st_mtim.tv_sec,
                " ", status.st_mtim.tv_nsec, "\n");
}

[[noreturn]] void refuse(const fs::path& path, int code) {
  throw IoError(concat(shown(path), ": cannot be written: ", std::strerror(code)), code);
}

}  // namespace

void refuse_complete_dataset(const fs::path& output) {
  std::error_code error;
  BK_CHECK(!fs::exists(output / "dataset.json", error), shown(output),
           " already holds a dataset; name another directory or remove it");
}

OutputFolder::OutputFolder(const fs::path& output) : output_(output), claim_(output / ".ingestion") {
  refuse_complete_dataset(output);
  for (const char* split : {"train", "heldout"}) make_folder(output / split);
  std::error_code error;
  const fs::file_type type = fs::symlink_status(claim_, error).type();
  BK_CHECK(type == fs::file_type::not_found || type == fs::file_type::regular || error, shown(claim_),
           " is no regular file, but an ingestion keeps its claim on a folder in a file of this name; remove it");
  fd_ = ::open(claim_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
  if (fd_ < 0) refuse(claim_, errno);
  try {
    claim();
    remove_leftovers();
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

OutputFolder::~OutputFolder() { ::close(fd_); }

// On a file system without locks, flock() fails with another error, and a second ingestion goes unnoticed.
void OutputFolder::claim() {
  BK_CHECK(::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK, shown(output_),
           " is in use by another ingestion, which is still at work; wait for its end, or name another directory");
  refuse_complete_dataset(output_);  // another ingestion may have finished between the first check and the lock
}

// Removes the files that an unfinished ingestion left, or begins a new claim if there was none.
void OutputFolder::remove_leftovers() {
  const Written found = find_written(output_);
  const std::string recorded = read_claim();
  std::vector<fs::path> foreign;
  for (const fs::path& file : found.files) {
    // Any shard is ours if an ingestion began here. A report has to match its fingerprint, because a user may have put
    // a file of that name into the folder since.
    const bool is_ours = is_report(file.filename().string()) ? recorded.find(fingerprint_line(file)) != recorded.npos
                                                             : !recorded.empty();
    if (!is_ours || fs::symlink_status(file).type() == fs::file_type::directory) foreign.push_back(file);
  }
  // No ingestion has begun here, so the claim file is new or empty. It must not stay in a folder that is refused.
  if (recorded.empty() && !foreign.empty()) ::unlink(claim_.c_str());
  refuse_foreign_files(foreign);
  if (recorded.empty()) return begin_claim();
  for (const auto& files : {found.files, found.temporaries})
    for (const fs::path& file : files) fs::remove(file);
}

void OutputFolder::refuse_foreign_files(const std::vector<fs::path>& files) const {
  if (files.empty()) return;
  throw UserError(concat(shown(files.front()),
                         " is in the way: an ingestion writes a file of this name, and this one may be yours; move or "
                         "remove it",
                         files.size() > 1 ? concat(" and ", files.size() - 1, " more") : "",
                         ", or name another directory for --output"));
}

// The contents of the claim file. They are empty if no ingestion has begun in this folder.
std::string OutputFolder::read_claim() const {
  std::string text(kMaxClaimBytes, '\0');
  const ssize_t n = ::pread(fd_, text.data(), text.size(), 0);
  text.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return text;
}

// A failed write is ignored. The next ingestion then takes the file for somebody else's and leaves it alone.
void OutputFolder::record_file(const fs::path& file) {
  const std::string note = fingerprint_line(file);
  if (::lseek(fd_, 0, SEEK_END) < 0 || ::write(fd_, note.data(), note.size()) < 0) return;
}

void OutputFolder::begin_claim() const {
  if (::pwrite(fd_, kMark.data(), kMark.size(), 0) != static_cast<ssize_t>(kMark.size())) refuse(claim_, errno);
}

void OutputFolder::finish() { ::unlink(claim_.c_str()); }

}  // namespace birkhoff
