#pragma once
#include <chrono>
#include <cstdio>

#include "trainer/config/metrics.h"
#include "trainer/metrics/metrics.h"

namespace birkhoff {

// Whether what is written to the stream reaches a terminal. Of a process that an MPI launcher started the launcher's
// own stream counts, since what the process has itself says nothing: a pipe, or a terminal made for it alone.
bool leads_to_terminal(std::FILE* stream);
// Where a progress bar is seen: the output, so that lines and bar keep their order, else the error output; null:
// nowhere.
std::FILE* stream_of_bar();

struct ConsoleOptions {
  std::FILE* lines = stdout;  // step lines
  std::FILE* bar = nullptr;   // progress bar; null: none
  LogFormat format = LogFormat::text;
  int64_t steps = 0;     // of the whole run
  int64_t interval = 1;  // steps from one line to the next; the last step and other events always have one
};

// One line a step, and below it a progress bar with elapsed and remaining time, tokens per second and loss.
class Console final : public MetricSink {
 public:
  explicit Console(const ConsoleOptions& options);
  ~Console() override;
  void publish(const Record& record) override;
  // A message, above the bar.
  void log(const std::string& line);

 private:
  std::string bar(const Record& record);
  void write_bar(const std::string& text);

  ConsoleOptions options_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int64_t first_step_ = -1;
  std::string last_bar_;
};

}  // namespace birkhoff
