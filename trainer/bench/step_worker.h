#pragma once
#include <string>
#include <vector>

#include <sys/types.h>

#include "trainer/bench/bench.h"

namespace birkhoff {

// How the threads of a worker wait for each other.
enum class ThreadWaits : uint8_t { as_shipped, sleeping };

// A process that times a training step on each request. It is a process of its own because how OpenMP threads wait is
// decided at the start of a process.
class StepWorker {
 public:
  // `command` must run serve_steps().
  StepWorker(const std::vector<std::string>& command, ThreadWaits waits);
  ~StepWorker();
  StepWorker(const StepWorker&) = delete;
  StepWorker& operator=(const StepWorker&) = delete;

  // Runs one step and returns its seconds.
  double step();

 private:
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
};

// For each byte on standard input, runs a step and writes its seconds to standard output, as the bytes of a double.
void serve_steps(const BenchOptions& options);

}  // namespace birkhoff
