#pragma once
// What `birkhoff bench` measures. Every scenario times real training code on synthetic tokens, several times in turn,
// and reports medians; a comparison is a ratio of two things timed in the same run, since machines are shared and
// noisy.
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/config/config.h"

namespace birkhoff {

struct OpTime {
  std::string op;
  int64_t calls = 0;
  double seconds = 0, flops = 0;  // of one step
};

struct StepBench {
  double tokens_per_second = 0, seconds = 0;  // of the median step, optimizer included
  double flops = 0;                           // of its matrix products and attention
  int64_t parameters = 0;
  size_t predicted_bytes = 0, measured_bytes = 0;  // peak memory of parameters, optimizer and activations
  std::vector<OpTime> ops;                         // by falling time
};

// One replica's training step of a model, `steps` times after two to warm up.
StepBench bench_step(Communicator& self, const Config& config, int64_t steps);

// The same for two configurations, step by step in turn: the median of the ratios of their times, a over b.
double bench_ratio(Communicator& self, const Config& a, const Config& b, int64_t steps);

// For people, and as one JSON object with the key tokens_per_second.
std::string to_text(const StepBench& bench);
std::string to_json(const StepBench& bench);

}  // namespace birkhoff
