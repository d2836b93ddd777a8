#pragma once
// The scenarios of `birkhoff bench`; docs/benchmarks.md explains every figure. Each scenario runs real training code on
// made-up tokens. A comparison times two things alternately in the same run and reports the median of the ratios,
// because machines are shared and noisy.
#include <filesystem>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/bench/report.h"
#include "trainer/config/config.h"

namespace birkhoff {

struct BenchOptions {
  Config config;
  int64_t rounds = 10;                    // timed rounds, after some for warm-up
  std::filesystem::path directory = ".";  // files go to a folder in it, which is removed at the end
  std::filesystem::path data;             // a dataset; if empty, the scenario makes one
  bool speed_only = false;                // bench_step: measure only tokens/s
  std::vector<std::string> step_worker;   // bench_busy: command of a process that runs serve_steps() on this config
};

// A training step of one process: tokens/s, work by op class compared with what the machine reaches, and peak memory
// compared with the prediction.
Report bench_step(Communicator& alone, const BenchOptions& options);
// The time of a step with mHC, and with single-pass mHC, over that of a step with a plain residual.
Report bench_residual(Communicator& alone, const BenchOptions& options);
// A checkpoint compared with a plain write of the same bytes, and how long training waits for it.
Report bench_checkpoint(Communicator& alone, const BenchOptions& options);
// The loader, Engram addresses included, compared with the step that it feeds and with a plain read of the same bytes.
Report bench_loader(Communicator& alone, const BenchOptions& options);
// All ranks as replicas of one run, with one thread each, compared with the same number of independent runs.
// Collective; the report is the same on all ranks.
Report bench_ranks(Communicator& world, const BenchOptions& options);
// A step while two busy processes compete for the cores, with the waits as shipped over the same with waits that sleep
// at once. On one rank this measures the waits of its threads, on several ranks (of one thread each) the waits of the
// ranks. Collective; the report is the same on all ranks.
Report bench_busy(Communicator& world, const BenchOptions& options);

}  // namespace birkhoff
