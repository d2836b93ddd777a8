#pragma once
#include "trainer/setting/setting.h"

namespace birkhoff {

enum class LogFormat { text, json };
inline EnumNames names_of(LogFormat) {
  static constexpr std::string_view names[] = {"text", "json"};
  return names;
}

enum class ProgressBar { auto_, always, never };
inline EnumNames names_of(ProgressBar) {
  static constexpr std::string_view names[] = {"auto", "always", "never"};
  return names;
}

struct MetricsConfig {
  LogFormat log_format = LogFormat::text;
  std::string jsonl = "metrics.jsonl";
  ProgressBar progress = ProgressBar::auto_;
  int64_t prometheus_port = -1;

  void visit(SettingList& s) {
    s("log_format", log_format, "form of the step line, the same keys in both").free();
    s("jsonl", jsonl, "file of one JSON object a step, relative to run.dir; empty: none").free();
    s("progress", progress,
      "progress bar; auto: where the output, or that of the launcher that started the run, is a terminal; always: on "
      "the "
      "error output")
        .free();
    s("prometheus_port", prometheus_port, Limits{-1, 65535},
      "port on 127.0.0.1 that serves the numbers; 0: any; -1: off")
        .free();
  }
  bool operator==(const MetricsConfig&) const = default;
};

}  // namespace birkhoff
