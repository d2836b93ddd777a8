#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/config/config.h"
#include "trainer/run/run.h"

namespace birkhoff {

// The directories that a run writes to, run.dir and checkpoint.dir. The constructor makes them, checks that they can be
// written, and locks them against other runs for the lifetime of this object. Collective. Throws UserError if a
// directory cannot be made or written, or is in use.
class RunDirectories {
 public:
  RunDirectories(Communicator& world, const Config& config, std::function<void(const std::string&)> log);

 private:
  void hold(const std::string& directory, const std::string& setting);

  std::function<void(const std::string&)> log_;
  std::vector<std::unique_ptr<DirectoryLock>> locks_;  // of rank 0
};

// Called before anything slow: checks that all ranks run the same program and configuration, then takes the
// directories, which may have to wait for the lock of another run. Collective.
std::unique_ptr<RunDirectories> take_directories(WatchedWorld& watched, const Config& config,
                                                 const RunReports& reports);

}  // namespace birkhoff
