#pragma once
#include <chrono>
#include <cstdio>

#include "trainer/metrics/metrics.h"

namespace birkhoff {

enum class LineFormat { text, json };

struct ConsoleOptions {
  std::FILE* lines = stdout;  // step lines
  std::FILE* bar = stderr;    // progress bar, where this is a terminal; null: none
  LineFormat format = LineFormat::text;
  int64_t steps = 0;     // of the whole run
  int64_t interval = 1;  // steps from one line to the next; the last step and other events always have one
};

// One line a step, and below it a progress bar with elapsed and remaining time, tokens per second and loss.
class Console final : public MetricSink {
 public:
  explicit Console(const ConsoleOptions& options);
  ~Console() override;
  void publish(const Record& record) override;

 private:
  std::string bar(const Record& record);
  void write_bar(const std::string& text);

  ConsoleOptions options_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int64_t first_step_ = -1;
};

}  // namespace birkhoff
