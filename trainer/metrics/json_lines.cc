#include "trainer/metrics/json_lines.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "kernels/core/error.h"
#include "trainer/metrics/format.h"

namespace birkhoff {
namespace {

class JsonLines final : public MetricSink {
 public:
  JsonLines(int file, std::string path, Warn warn) : file_(file), path_(std::move(path)), warn_(std::move(warn)) {}
  ~JsonLines() override { close(file_); }

  void publish(const Record& record) override {
    // If the previous line was cut off, a newline ends it first. The line is written by one write(), so that other
    // writers cannot write into the middle of it.
    const std::string line = concat(torn_ ? "\n" : "", json_line(record, unix_seconds_now()), "\n");
    const ssize_t written = write(file_, line.data(), line.size());
    if (written == static_cast<ssize_t>(line.size())) {
      if (lost_) warn_(concat(path_, " can be written again; ", lost_, " records were lost"));
      lost_ = 0;
      torn_ = false;
      return;
    }
    // Warn only about the first record that is lost in a row. A short write sets no errno; its usual reason is a full
    // disk.
    if (lost_++ == 0) {
      const bool full = written >= 0 || errno == ENOSPC || errno == EDQUOT;
      warn_(concat("cannot write ", path_, ": ", written < 0 ? std::strerror(errno) : "the disk is full",
                   full ? "; the run goes on; the log continues once there is free space"
                        : "; the run goes on without these records"));
    }
    torn_ = torn_ || written > 0;
  }

 private:
  int file_;
  std::string path_;
  Warn warn_;
  int64_t lost_ = 0;
  bool torn_ = false;
};

const char* reason_of_open(int error) { return error == ENXIO ? "a pipe that nobody reads" : std::strerror(error); }

}  // namespace

std::unique_ptr<MetricSink> open_json_lines(const std::filesystem::path& path, Warn warn) {
  // O_NONBLOCK because a pipe that nobody reads would block the run, either here or once the pipe is full.
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  if (file >= 0) return std::make_unique<JsonLines>(file, path.string(), std::move(warn));
  warn(concat("cannot open ", path.string(), ": ", reason_of_open(errno), "; the run goes on without this log"));
  return nullptr;
}

}  // namespace birkhoff
