#pragma once
#include <vector>

#include <sys/types.h>

namespace birkhoff {

// Processes that each keep one core busy until the destructor runs or this process ends.
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
