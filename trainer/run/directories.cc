#include "trainer/run/directories.h"

#include <filesystem>

#include "data/file/folder.h"
#include "data/file/regular_file.h"
#include "kernels/core/error.h"
#include "parallel/comm/agree.h"
#include "trainer/run/same_run.h"

namespace birkhoff {

namespace fs = std::filesystem;

RunDirectories::RunDirectories(Communicator& world, const Config& config, std::function<void(const std::string&)> log)
    : log_(std::move(log)) {
  agree(world, [&] {
    if (world.rank() != 0) return;
    hold(config.run.dir, "run.dir");
    std::error_code different;
    // If both settings name the same directory, it is locked only once; a second lock would wait for the first and then
    // fail.
    if (!fs::equivalent(config.run.dir, config.checkpoint.dir, different)) {
      hold(config.checkpoint.dir, "checkpoint.dir");
    }
  });
}

void RunDirectories::hold(const std::string& directory, const std::string& setting) {
  try {
    make_folder(directory);
  } catch (const IoError& e) {
    throw UserError(concat(e.what(), ". Choose another ", setting));
  }
  DirectoryLock::Options options;
  options.setting = setting;
  options.log = log_;
  locks_.push_back(std::make_unique<DirectoryLock>(directory, std::move(options)));
}

std::unique_ptr<RunDirectories> take_directories(WatchedWorld& watched, const Config& c, const RunReports& reports) {
  Communicator& world = watched.world();
  const DirectoryLock::Options lock;
  // Waiting for a lock may take stale_after_s + wait_s, and there are up to two locks. parallel.timeout_init_s does
  // not include that wait, so the deadline is later by the time for two locks.
  const auto deadline = watched.watchdog().guard(
      "start-up", c.parallel.timeout_init_s + 2 * (lock.stale_after_s + lock.wait_s), "parallel.timeout_init_s");
  check_same_run(world, c, reports.program);
  auto directories = std::make_unique<RunDirectories>(world, c, reports.log);
  watched.set_folder(c.run.dir);
  agree(world, [&] {
    if (world.rank() == 0 && reports.directories_ready) reports.directories_ready();
  });
  return directories;
}

}  // namespace birkhoff
