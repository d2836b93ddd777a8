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
  std::string layouts;                    // bench_layout: those to compare (layout_choice.h)
  // bench_collectives: the world without the record of its operations, whose cost would count in the small ones.
  Communicator* unrecorded = nullptr;
};

// The scenarios of one process take `self`, a communicator whose only rank is the caller.

// A training step of one process: tokens/s, the speed of each op class compared with the measured peak of the machine
// (roofline.h), and peak memory compared with the prediction.
Report bench_step(Communicator& self, const BenchOptions& options);
// The step time with mHC and with single-pass mHC, each divided by the step time with a plain residual.
Report bench_residual(Communicator& self, const BenchOptions& options);
// The speed of a checkpoint compared with a plain write of as many bytes, and how long training waits for a checkpoint.
Report bench_checkpoint(Communicator& self, const BenchOptions& options);
// The tokens/s of the loader, including Engram addresses, compared with those of a training step and with a plain read
// of the same bytes.
Report bench_loader(Communicator& self, const BenchOptions& options);
// All ranks as replicas of one run, with one thread each, compared with the same number of independent runs.
// Collective; the report is the same on all ranks.
Report bench_ranks(Communicator& world, const BenchOptions& options);
// Layouts of all ranks, with one thread each: their tokens/s compared with those of replicas, what they spend on
// communication, and what the ranks hold compared with the plan of `birkhoff describe layout`.
// Collective; the report is the same on all ranks.
Report bench_layout(Communicator& world, const BenchOptions& options);
// Our collectives on all ranks, compared with MPI's calls of the same name at several sizes. Uses no config.
// Collective; the report is the same on all ranks.
Report bench_collectives(Communicator& world, const BenchOptions& options);
// The step time with the default waits, divided by the step time with waits that sleep at once, while two busy
// processes compete for the cores. With one rank it measures the waits of the threads. With several ranks, each with
// one thread, it measures the waits of the ranks. Collective; the report is the same on all ranks.
Report bench_busy(Communicator& world, const BenchOptions& options);

}  // namespace birkhoff
