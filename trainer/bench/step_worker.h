#pragma once
#include <string>
#include <vector>

#include <sys/types.h>

#include "trainer/bench/bench.h"

namespace birkhoff {

// How the threads of a worker wait for each other.
enum class ThreadWaits : uint8_t { as_shipped, sleeping };

// A process that times a training step whenever it is told to: how threads wait is decided at the start of a process.
class StepWorker {
 public:
  // `command` runs serve_steps().
  StepWorker(const std::vector<std::string>& command, ThreadWaits waits);
  ~StepWorker();
  StepWorker(const StepWorker&) = delete;
  StepWorker& operator=(const StepWorker&) = delete;

  // Seconds of one step.
  double step();

 private:
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
};

// Answers each byte of standard input with the seconds of a step, as the bytes of a double on standard output.
void serve_steps(const BenchOptions& options);

}  // namespace birkhoff
