#include "trainer/run/evaluation_log.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "kernels/core/error.h"
#include "trainer/metrics/format.h"

namespace birkhoff {
namespace {

std::string digits(double value) {
  if (std::isnan(value)) return "nan";  // whatever its sign
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string json_of(const EvaluationResult& r, const std::string& data) {
  const Record record{"eval",
                      r.step,
                      {{"loss", r.loss},
                       {"bits_per_byte", r.bits_per_byte},
                       {"tokens", static_cast<int64_t>(r.tokens)},
                       {"bytes", r.bytes}}};
  std::string line = json_line(record, unix_seconds_now());
  line.pop_back();  // its brace
  return concat(line, ",\"checkpoint\":", quoted(r.checkpoint), ",\"data\":", quoted(data), "}\n");
}

}  // namespace

std::string evaluation_line(const EvaluationResult& r) {
  return concat("step: ", r.step, " | loss: ", digits(r.loss), " nats/token | bits_per_byte: ", digits(r.bits_per_byte),
                " | tokens: ", static_cast<int64_t>(r.tokens), " | bytes: ", digits(r.bytes));
}

std::string append_evaluation(const std::filesystem::path& file, const EvaluationResult& result,
                              const std::string& data) {
  const std::string line = json_of(result, data);
  std::error_code ignored;  // opening the file then tells
  std::filesystem::create_directories(file.parent_path(), ignored);
  // O_NONBLOCK: a pipe that nobody reads would hold up the program.
  const int descriptor = open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  if (descriptor < 0) return concat("cannot open ", file.string(), ": ", std::strerror(errno));
  const ssize_t written = write(descriptor, line.data(), line.size());
  const int error = written < 0 ? errno : ENOSPC;
  close(descriptor);
  return written == static_cast<ssize_t>(line.size())
             ? ""
             : concat("cannot write ", file.string(), ": ", std::strerror(error));
}

}  // namespace birkhoff
