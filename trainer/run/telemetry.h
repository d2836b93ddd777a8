#pragma once
// What a run tells in numbers. docs/metrics.md lists them.
#include <map>
#include <string>
#include <vector>

#include "parallel/comm/traced.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/metrics/metrics.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/session.h"

namespace birkhoff {

// One finished step.
struct StepFacts {
  int64_t step = 0;  // counted from 1
  const StepReport* report = nullptr;
  const Progress* progress = nullptr;
  StepShape shape;
  int64_t tokens = 0, consumed_tokens = 0;  // of all replicas: in this step, in the run
  double learning_rate = 0;
  double step_s = 0, data_wait_s = 0;
  double data_wait_total_s = 0;
};

// Makes records. Every rank has one; records are rank 0's to publish.
class Telemetry {
 public:
  Telemetry(Communicator& world, const Trace& trace, const DecoderOptions& model)
      : world_(&world), trace_(&trace), model_(model) {}

  // Collective where `logged`, when the ranks tell each other what only they know.
  Record step(const StepFacts& facts, bool logged);
  Record checkpoint(const SaveReport& report, int64_t failed_saves);
  static Record evaluation(const EvaluationResult& result, double duration_s);

 private:
  void gather();
  void add_ranks(Record& record) const;
  double flops_per_token(int64_t length);

  Communicator* world_;
  const Trace* trace_;
  DecoderOptions model_;
  // As the ranks told at the last logged step, rank 0's view.
  std::vector<double> heartbeats_s_;
  double resident_bytes_ = 0, peak_bytes_ = 0;  // of the rank that has most
  double saved_at_s_ = 0;                       // unix time of the last success
  std::map<int64_t, double> flops_;             // per token, by sequence length
};

}  // namespace birkhoff
