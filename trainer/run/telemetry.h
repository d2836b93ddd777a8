#pragma once
// The numbers that a run publishes; docs/metrics.md lists them.
#include <array>
#include <map>
#include <string>
#include <vector>

#include "parallel/comm/traced.h"
#include "parallel/mesh/layout.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/metrics/metrics.h"
#include "trainer/run/comm_per_step.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/session.h"

namespace birkhoff {

// One finished step.
struct StepFacts {
  int64_t step = 0;  // counted from 1
  const StepReport* report = nullptr;
  const Progress* progress = nullptr;
  StepShape shape;
  int64_t tokens = 0, consumed_tokens = 0;  // over all replicas; of this step, and of the run so far
  double learning_rate = 0;
  double step_s = 0, data_wait_s = 0;
  double data_wait_total_s = 0;
};

// Makes the records. Every rank has a Telemetry, because gather() is collective, but only rank 0 publishes the records.
class Telemetry {
 public:
  // `degrees` are those of the mesh.
  Telemetry(Communicator& world, const std::array<int, kNumAxes>& degrees, const Trace& trace,
            const DecoderOptions& model)
      : world_(&world), degrees_(degrees), trace_(&trace), model_(model), comm_(trace) {}

  // Collective if `logged`: then every rank sends its own values to the others.
  Record step(const StepFacts& facts, bool logged);
  Record checkpoint(const SaveReport& report, int64_t failed_saves);
  static Record evaluation(const EvaluationResult& result, double duration_s);

 private:
  void gather();
  void add_ranks(Record& record) const;
  double flops_per_token(int64_t length);

  Communicator* world_;
  std::array<int, kNumAxes> degrees_;
  const Trace* trace_;
  DecoderOptions model_;
  CommPerStep comm_;
  // Gathered at the last logged step.
  std::vector<double> heartbeats_s_;
  double resident_bytes_ = 0, peak_bytes_ = 0;  // the largest of all ranks
  std::vector<CommPerStep::Row> comm_rows_;
  double saved_at_s_ = 0;            // unix time of the last success
  std::map<int64_t, double> flops_;  // per token, by sequence length
};

}  // namespace birkhoff
