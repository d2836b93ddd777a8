#include "launch/console.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>

#include <fcntl.h>
#include <unistd.h>

#include "kernels/core/error.h"
#include "kernels/core/printable.h"
#include "trainer/metrics/format.h"

namespace birkhoff {
namespace {

constexpr const char* kClearLine = "\r\x1b[K";

// "1:02:03" or "2:03".
std::string clock_of(double seconds) {
  const auto total = static_cast<long>(std::max(seconds, 0.0) + 0.5);
  char text[32];
  if (total >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", total / 60, total % 60);
  }
  return text;
}

const Number* find(const Record& record, std::string_view key) {
  const auto found = std::find_if(record.numbers.begin(), record.numbers.end(),
                                  [&](const Number& number) { return number.key == key; });
  return found == record.numbers.end() ? nullptr : &*found;
}

// Errors are cleared: a full disk or a closed pipe must not stop the run.
void write(std::FILE* file, const std::string& text) {
  std::fputs(text.c_str(), file);
  std::fflush(file);
  std::clearerr(file);
}

}  // namespace

bool leads_to_terminal(std::FILE* stream) {
  const int own_fd = fileno(stream);
  const char* const kRankOf[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
  const bool launched =
      std::any_of(std::begin(kRankOf), std::end(kRankOf), [](auto name) { return std::getenv(name); });
  if (!launched) return isatty(own_fd);
  // O_NONBLOCK so that opening a pipe without a reader fails instead of waiting; O_NOCTTY so that the terminal does not
  // become ours.
  const int launcher_fd =
      open(concat("/proc/", getppid(), "/fd/", own_fd).c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  const bool terminal = launcher_fd >= 0 && isatty(launcher_fd);
  if (launcher_fd >= 0) close(launcher_fd);
  return terminal;
}

std::FILE* stream_of_bar() {
  if (leads_to_terminal(stdout)) return stdout;
  return leads_to_terminal(stderr) ? stderr : nullptr;
}

Console::Console(const ConsoleOptions& options) : options_(options) {}

Console::~Console() { write_bar(kClearLine); }

void Console::publish(const Record& record) {
  const bool is_step = record.event == "step";
  const bool due = !is_step || record.step % options_.interval == 0 || record.step == options_.steps;
  if (due) {
    write_bar(kClearLine);
    const std::string line =
        options_.format == LogFormat::json ? json_line(record, unix_seconds_now()) : text_line(record, options_.steps);
    write(options_.lines, line + "\n");
  }
  if (is_step) last_bar_ = bar(record);
  if (is_step || due) write_bar(kClearLine + last_bar_);
}

void Console::log(const std::string& line) {
  write_bar(kClearLine);
  write(options_.lines, printable(line + "\n"));
  write_bar(last_bar_);
}

std::string Console::bar(const Record& record) {
  if (first_step_ < 0) first_step_ = record.step - 1;
  const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const int64_t done = std::max<int64_t>(record.step - first_step_, 1),
                left = std::max<int64_t>(options_.steps - record.step, 0);
  const double fraction = options_.steps > 0 ? std::clamp(double(record.step) / double(options_.steps), 0.0, 1.0) : 1;
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(std::lround(fraction * kWidth));
  std::string text =
      concat("[", std::string(static_cast<size_t>(filled), '='), std::string(static_cast<size_t>(kWidth - filled), ' '),
             "] ", record.step, "/", options_.steps, "  elapsed ", clock_of(elapsed), "  ETA ",
             clock_of(elapsed / double(done) * double(left)));
  if (const Number* rate = find(record, "tokens_per_second"))
    text += concat("  ", std::lround(to_double(*rate)), " tokens/s");
  if (const Number* loss = find(record, "loss")) text += concat("  loss ", to_double(*loss));
  return text;
}

void Console::write_bar(const std::string& text) {
  if (options_.bar) write(options_.bar, text);
}

}  // namespace birkhoff
