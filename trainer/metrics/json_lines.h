#pragma once
#include <filesystem>

#include "trainer/metrics/metrics.h"

namespace birkhoff {

// Appends each record to the file as one line with a JSON object. If a line is cut off, as on a full disk, the next
// successful write first ends that line, so that every later line is whole, and reports how many records were lost.
// After a resume a step may have two lines; the later one counts. Returns null, with a warning, if the file cannot be
// opened.
std::unique_ptr<MetricSink> open_json_lines(const std::filesystem::path& path, Warn warn);

}  // namespace birkhoff
