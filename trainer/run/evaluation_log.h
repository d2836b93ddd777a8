#pragma once
#include <filesystem>
#include <string>

#include "trainer/run/run.h"

namespace birkhoff {

// "step: 600 | loss: 3.0714285714285716 nats/token | ...", every number with the digits that read back equal.
std::string evaluation_line(const EvaluationResult& result);

// Appends the evaluation of `data` to the file as one JSON object (docs/metrics.md). Returns what went wrong, empty if
// nothing did: a number that was computed is not lost for want of a log.
std::string append_evaluation(const std::filesystem::path& file, const EvaluationResult& result,
                              const std::string& data);

}  // namespace birkhoff
