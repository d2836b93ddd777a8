#include "trainer/run/evaluation.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numbers>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"
#include "trainer/metrics/format.h"
#include "trainer/run/resume.h"
#include "trainer/run/same_run.h"

namespace birkhoff {
namespace {

std::string digits(double value) {
  if (std::isnan(value)) return "nan";  // to_chars() would print "-nan" for one with the sign bit set
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
  line.pop_back();  // drop the closing brace, to append further members
  return concat(line, ",\"checkpoint\":", quoted(r.checkpoint), ",\"data\":", quoted(data), "}\n");
}

}  // namespace

std::optional<EvaluationResult> evaluate(Session& session, EvalReader& reader, const std::function<bool()>& stop) {
  const auto deadline = session.guard_evaluation();
  reader.rewind();
  std::vector<double> sums(2, 0.0);
  while (true) {
    if (stop && stop()) return std::nullopt;
    const std::optional<StepBatch> batch = reader.next();
    if (!batch) break;
    const Trainer::Evaluation e = session.trainer().evaluate(*batch);
    sums[0] += e.nats;
    sums[1] += e.tokens;
  }
  all_reduce_on_host(session.mesh().group(Group::batch), std::span(sums));
  EvaluationResult result;
  result.step = session.trainer().steps_done();
  result.tokens = sums[1];
  result.loss = sums[1] > 0 ? sums[0] / sums[1] : 0;
  // If only a part of the split was evaluated, the number of bytes in this part is not known, so it is estimated from
  // the mean bytes per token of the whole split. For the whole split the product comes before the division, so that the
  // bytes are exact.
  const auto bytes = static_cast<double>(reader.source_bytes());
  const double targets = std::max(1.0, static_cast<double>(reader.num_targets())), bytes_per_token = bytes / targets;
  result.bytes = result.tokens * bytes / targets;
  result.bits_per_byte = result.loss / std::numbers::ln2 / std::max(bytes_per_token, 1e-9);
  return result;
}

EvaluationResult run_evaluation(WatchedWorld& watched, const LoadedConfig& config, const std::string& checkpoint,
                                const RunReports& reports) {
  const Config& c = config.config;
  const auto deadline = watched.watchdog().guard("start-up", c.parallel.timeout_init_s, "parallel.timeout_init_s");
  check_same_run(watched.world(), c, reports.program);
  // Not in run.dir itself, where a run that trains meanwhile may have dumps of its own.
  watched.set_folder((std::filesystem::path(c.run.dir) / "eval").string());
  Session session(watched, config, reports);
  const std::optional<Found> found = checkpoint.empty()
                                         ? find_newest_valid(session.world(), session.checkpoints())
                                         : named_checkpoint(session.world(), "--checkpoint:", checkpoint);
  if (!found) throw DataError(session.checkpoints().string() + " holds no checkpoint to evaluate");
  EvaluationResult result;
  session.within_memory([&] {
    resume_from(session, *found);
    std::unique_ptr<EvalReader> reader;
    agree(session.world(), [&] { reader = std::make_unique<EvalReader>(session.eval_options()); });
    result = *evaluate(session, *reader);
  });
  result.checkpoint = found->path.string();
  return result;
}

std::string evaluation_line(const EvaluationResult& r) {
  return concat("step: ", r.step, " | loss: ", digits(r.loss), " nats/token | bits_per_byte: ", digits(r.bits_per_byte),
                " | tokens: ", static_cast<int64_t>(r.tokens), " | bytes: ", digits(r.bytes));
}

std::string append_evaluation(const std::filesystem::path& file, const EvaluationResult& result,
                              const std::string& data) {
  const std::string line = json_of(result, data);
  std::error_code ignored;  // opening the file reports the failure
  std::filesystem::create_directories(file.parent_path(), ignored);
  // O_NONBLOCK because opening a pipe that nobody reads would block the program.
  const int descriptor = open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  if (descriptor < 0) return concat("cannot open ", file.string(), ": ", std::strerror(errno));
  const ssize_t written = write(descriptor, line.data(), line.size());
  // A short write sets no errno; the usual reason is a full disk.
  const int error = written < 0 ? errno : ENOSPC;
  close(descriptor);
  return written == static_cast<ssize_t>(line.size())
             ? ""
             : concat("cannot write ", file.string(), ": ", std::strerror(error));
}

}  // namespace birkhoff
