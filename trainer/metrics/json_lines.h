#pragma once
#include <filesystem>

#include "trainer/metrics/metrics.h"

namespace birkhoff {

// Appends each record to the file as one line with a JSON object. Lines stay whole even if a write stops half-way (a
// full disk): the next success first ends the torn line, and reports how many records were lost. After a resume a step
// may have two lines; the later one counts. Returns null, with a warning, if the file cannot be opened.
std::unique_ptr<MetricSink> open_json_lines(const std::filesystem::path& path, Warn warn);

}  // namespace birkhoff
