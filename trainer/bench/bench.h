#pragma once
// What `birkhoff bench` measures: docs/benchmarks.md says what each figure is and how it is made. Every scenario runs
// real training code on made-up tokens; a comparison is a ratio of two things timed in turn in the same run, since
// machines are shared and noisy, and its figure is the median of the rounds.
#include <filesystem>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/bench/report.h"
#include "trainer/config/config.h"

namespace birkhoff {

struct BenchOptions {
  Config config;
  int64_t rounds = 10;                    // timed, after some to warm up
  std::filesystem::path directory = ".";  // files go to a folder in it, which is removed at the end
  std::filesystem::path data;             // a dataset; empty: made for the scenario
  bool speed_only = false;                // of a step: its tokens/s, and no more
  std::vector<std::string> step_worker;   // of busy: the command of a process that runs serve_steps() on this config
};

// A training step of one process: tokens/s, work by op class against what the machine reaches, peak memory against what
// was predicted.
Report bench_step(Communicator& alone, const BenchOptions& options);
// A step with mHC, and with single-pass mHC, over one with a plain residual.
Report bench_residual(Communicator& alone, const BenchOptions& options);
// A checkpoint against the same bytes written plainly, and what training waits for it.
Report bench_checkpoint(Communicator& alone, const BenchOptions& options);
// The loader with its Engram addresses against the step it feeds, and against reading the same bytes plainly.
Report bench_loader(Communicator& alone, const BenchOptions& options);
// All ranks as replicas of one run, a thread each, against as many runs that know nothing of each other. Collective;
// the same report on all ranks.
Report bench_ranks(Communicator& world, const BenchOptions& options);
// A step beside two busy processes, as threads and ranks wait, over one whose every wait sleeps at once: of the threads
// of one rank, or of several ranks of one thread. Collective; the same report on all ranks.
Report bench_busy(Communicator& world, const BenchOptions& options);

}  // namespace birkhoff
