#pragma once
#include <vector>

#include <sys/types.h>

namespace birkhoff {

// Processes that do nothing but keep a core each busy, until the destructor or the end of this process.
class BusyProcesses {
 public:
  explicit BusyProcesses(int count);
  ~BusyProcesses();
  BusyProcesses(const BusyProcesses&) = delete;
  BusyProcesses& operator=(const BusyProcesses&) = delete;

 private:
  void stop();
  std::vector<pid_t> pids_;
};

}  // namespace birkhoff
