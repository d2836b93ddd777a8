#include "parallel/comm/watched.h"

#include <filesystem>

namespace birkhoff {

WatchedWorld::WatchedWorld(Communicator& world, ProcessEnd end)
    : world_(world),
      traced_(make_traced(world, trace_)),
      end_(std::move(end)),
      watchdog_([this](const std::string& why) { expire(why); }) {}

void WatchedWorld::set_folder(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  folder_ = folder;
  const std::filesystem::path dump = dump_path(folder, world_.rank());
  std::error_code missing;
  std::filesystem::rename(dump, dump.string() + ".before", missing);
}

void WatchedWorld::set_names(LayoutNames names) {
  const std::lock_guard lock(mutex_);
  names_ = std::move(names);
}

void WatchedWorld::expire(const std::string& why) {
  const std::lock_guard lock(mutex_);
  dump_and_abort({world_, trace_, folder_, names_}, why, end_);
}

}  // namespace birkhoff
