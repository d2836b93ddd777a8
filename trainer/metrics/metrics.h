#pragma once
// Numbers are born once, as a record, and published to every sink: step line, progress bar, JSON lines, Prometheus.
// A sink never stops a run: one that cannot write warns, goes on trying, and says what was lost.
//
// Names and units (docs/metrics.md): base units, the unit a suffix (seconds, bytes, ratio), "_total" on counters. A
// number has the same name in all logs and, behind "birkhoff_", in Prometheus.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace birkhoff {

// How a number is served to Prometheus; logs carry every number alike.
enum class MetricKind {
  gauge,      // the latest value
  counter,    // the total so far, which never falls
  histogram,  // one observation
  log_only,
};

// Where a number is seen. The console shows what a person watches a run by.
enum class Shown {
  everywhere,
  logs,    // JSON lines and Prometheus
  served,  // Prometheus alone: a label with one value a rank
};

struct Number {
  std::string_view key;  // "loss", "tokens_total", "step_duration_seconds"
  std::variant<int64_t, double> value;
  MetricKind kind = MetricKind::gauge;
  std::string label = {};  // "stat=max": expert_load_ratio{stat="max"}, in logs expert_load_ratio.max
  Shown shown = Shown::everywhere;
};

struct Record {
  std::string_view event;  // "step", "eval", "checkpoint"; one other than "step" stands before the names it serves
  int64_t step = 0;
  std::vector<Number> numbers;  // in the order in which logs print them
};

class MetricSink {
 public:
  virtual ~MetricSink() = default;
  virtual void publish(const Record& record) = 0;
};

// Where sinks report that something is wrong with them.
using Warn = std::function<void(const std::string&)>;

class Metrics {
 public:
  // No sink is added where opening one has failed.
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
