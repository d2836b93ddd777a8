#pragma once
#include <filesystem>

#include "trainer/metrics/metrics.h"

namespace birkhoff {

// Appends one JSON object a record. Lines stay whole when a write fails half-way (a full disk): the torn one is ended,
// and the first later success reports how many records were lost. After a resume, of two lines of a step the later
// holds. Returns null, with a warning, if the file cannot be opened.
std::unique_ptr<MetricSink> open_json_lines(const std::filesystem::path& path, Warn warn);

}  // namespace birkhoff
