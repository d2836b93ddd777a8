#pragma once
#include <chrono>
#include <cstdio>

#include "trainer/config/metrics.h"
#include "trainer/metrics/metrics.h"

namespace birkhoff {

// Whether text written to the stream reaches a terminal. For a process that an MPI launcher started, the launcher's own
// stream decides, because the stream of the process itself is always a pipe, or a terminal made for it alone.
bool leads_to_terminal(std::FILE* stream);
// The stream on which a progress bar would be seen: standard output if possible, so that lines and bar keep their
// order, otherwise standard error, or null if neither reaches a terminal.
std::FILE* stream_of_bar();

struct ConsoleOptions {
  std::FILE* lines = stdout;  // step lines
  std::FILE* bar = nullptr;   // progress bar; null: none
  LogFormat format = LogFormat::text;
  int64_t steps = 0;     // of the whole run
  int64_t interval = 1;  // steps between lines; the last step and other events always get a line
};

// Prints one line per record and, below the lines, a progress bar with elapsed and remaining time, tokens per second
// and loss.
class Console final : public MetricSink {
 public:
  explicit Console(const ConsoleOptions& options);
  ~Console() override;
  void publish(const Record& record) override;
  // Prints a message above the bar.
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
