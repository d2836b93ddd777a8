#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "data/loader/eval_reader.h"
#include "trainer/run/session.h"

namespace birkhoff {

struct EvaluationResult {
  int64_t step = 0;
  double loss = 0;           // nats per token
  double bits_per_byte = 0;  // of the raw text
  double tokens = 0, bytes = 0;
  std::string checkpoint;  // its path
};
// Held-out loss, or nullopt if `stop` (polled collectively before each microbatch) returned true. Collective.
std::optional<EvaluationResult> evaluate(Session& session, EvalReader& reader, const std::function<bool()>& stop = {});
// Computes the held-out loss of `checkpoint`, or of the newest valid checkpoint of the run if it is empty. Collective;
// the result is the same on all ranks.
EvaluationResult run_evaluation(WatchedWorld& watched, const LoadedConfig& config, const std::string& checkpoint,
                                const RunReports& reports);

// "step: 600 | loss: 3.0714285714285716 nats/token | ...". Every number has enough digits to read back as the same
// value.
std::string evaluation_line(const EvaluationResult& result);
// Appends the evaluation of `data` to the file as one JSON object (docs/metrics.md). Returns what went wrong, or an
// empty string. It does not throw, because a result that took long to compute must not be lost over a log file.
std::string append_evaluation(const std::filesystem::path& file, const EvaluationResult& result,
                              const std::string& data);

}  // namespace birkhoff
