#pragma once
// A number is made once, as part of a record, and published to every sink: step line, progress bar, JSON lines,
// Prometheus. A sink never stops a run: if it cannot write, it warns, keeps trying, and says what was lost.
//
// Names and units (docs/metrics.md): base units, with the unit as a suffix (seconds, bytes, ratio), and "_total" on
// counters. A number has the same name in all logs and, with "birkhoff_" in front, in Prometheus.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace birkhoff {

// How a number is served to Prometheus. Logs treat all kinds alike.
enum class MetricKind {
  gauge,      // the latest value
  counter,    // the total so far, which never falls
  histogram,  // one observation
  log_only,
};

// Where a number is shown. The console shows only the numbers that people watch during a run.
enum class Shown {
  everywhere,
  logs,    // JSON lines and Prometheus
  served,  // Prometheus only: for labels with one value for each rank
};

struct Number {
  std::string_view key;  // "loss", "tokens_total", "step_duration_seconds"
  std::variant<int64_t, double> value;
  MetricKind kind = MetricKind::gauge;
  // "stat=max": expert_load_ratio{stat="max"}, in logs expert_load_ratio.max. A number that is only served may have
  // several labels: "rank=3,tp=1".
  std::string label = {};
  Shown shown = Shown::everywhere;
};

struct Record {
  std::string_view event;  // "step", "eval", "checkpoint"; except for "step" it prefixes the names in Prometheus
  int64_t step = 0;
  std::vector<Number> numbers;  // in the order in which logs print them
};

class MetricSink {
 public:
  virtual ~MetricSink() = default;
  virtual void publish(const Record& record) = 0;
};

// Receives the warnings of a sink.
using Warn = std::function<void(const std::string&)>;

class Metrics {
 public:
  // Ignores null, which an open function returns after a failure.
  void add(std::unique_ptr<MetricSink> sink) {
    if (sink) sinks_.push_back(std::move(sink));
  }
  void publish(const Record& record) {
    for (const auto& sink : sinks_) sink->publish(record);
  }

 private:
  std::vector<std::unique_ptr<MetricSink>> sinks_;
};

}  // namespace birkhoff
