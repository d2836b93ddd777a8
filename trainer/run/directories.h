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

// The directories a run writes to, run.dir and checkpoint.dir: made, tried by writing to them, and held against other
// runs as long as this lives. Collective. UserError where one cannot be made or written, or is in use.
class RunDirectories {
 public:
  RunDirectories(Communicator& world, const Config& config, std::function<void(const std::string&)> log);

 private:
  void hold(const std::string& directory, const std::string& setting);

  std::function<void(const std::string&)> log_;
  std::vector<std::unique_ptr<DirectoryLock>> locks_;  // of rank 0
};

// Before anything slow: checks that all ranks run the same, then takes the directories, whose locks may have to be
// waited for. Collective.
std::unique_ptr<RunDirectories> take_directories(WatchedWorld& watched, const Config& config,
                                                 const RunReports& reports);

}  // namespace birkhoff
