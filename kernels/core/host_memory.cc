#include "kernels/core/host_memory.h"

#include <algorithm>
#include <fstream>

namespace birkhoff {
namespace {

// The files of one version of control groups.
struct Files {
  const char *limit, *used, *reclaimable;  // the last is a key of memory.stat
};
constexpr Files kVersion2{"memory.max", "memory.current", "inactive_file"};
constexpr Files kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};

std::optional<int64_t> number_in(const std::filesystem::path& path) {
  std::ifstream in(path);
  int64_t value = 0;
  if (in >> value) return value;
  return std::nullopt;
}

// Memory left in one control group, or nullopt if it has no limit. Inactive file pages count as free, because the
// kernel would reclaim them.
std::optional<int64_t> left_in(const std::filesystem::path& folder, const Files& files) {
  const auto limit = number_in(folder / files.limit), used = number_in(folder / files.used);
  if (!limit || !used) return std::nullopt;
  std::ifstream stat(folder / "memory.stat");
  int64_t value = 0, reclaimable = 0;
  for (std::string key; stat >> key >> value;) reclaimable = key == files.reclaimable ? value : reclaimable;
  return *limit - *used + reclaimable;
}

std::optional<int64_t> least_around(const std::filesystem::path& root, const std::string& group, const Files& files) {
  std::optional<int64_t> least;
  for (std::filesystem::path at = group;; at = at.parent_path()) {
    if (const auto left = left_in(root / at.relative_path(), files)) least = std::min(least.value_or(*left), *left);
    if (at == at.parent_path()) return least;
  }
}

}  // namespace

std::optional<int64_t> available_host_memory() {
  std::ifstream in("/proc/meminfo");
  for (std::string word; in >> word;) {
    int64_t kilobytes = 0;
    if (word == "MemAvailable:" && in >> kilobytes) return kilobytes * 1024;
  }
  return std::nullopt;
}

std::optional<int64_t> available_group_memory(const std::filesystem::path& root, const std::string& group) {
  return least_around(root, group, kVersion2);
}

// The file has lines like "0::/job" (version 2) and "5:memory:/job" (version 1). A line of version 1 may list several
// controllers, as in "5:cpu,memory:/job".
std::optional<int64_t> available_group_memory() {
  std::ifstream groups("/proc/self/cgroup");
  std::optional<int64_t> least;
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    std::optional<int64_t> left;
    if (controllers.empty()) left = least_around("/sys/fs/cgroup", group, kVersion2);
    const bool controls_memory = ("," + controllers + ",").find(",memory,") != std::string::npos;
    if (controls_memory) left = least_around("/sys/fs/cgroup/memory", group, kVersion1);
    if (left) least = std::min(least.value_or(*left), *left);
  }
  return least;
}

}  // namespace birkhoff
