#include "trainer/run/telemetry.h"

#include <algorithm>
#include <array>
#include <optional>

#include "kernels/core/process_memory.h"
#include "parallel/comm/host_values.h"
#include "trainer/metrics/format.h"
#include "trainer/plan/flops.h"

namespace birkhoff {
namespace {

// The values that each rank sends to the others, in this order.
enum RankStat : size_t { kTime, kResident, kPeak, kNumStats };

// "rank=3,tp=1,dp=1": a rank and its coordinates along the axes that have several ranks.
std::string label_of(size_t rank, const std::array<int, kNumAxes>& degrees) {
  const auto coordinates = coordinates_of(static_cast<int>(rank), degrees);
  std::string label = concat("rank=", rank);
  for (const Axis axis : kLayoutAxes) {
    const auto a = static_cast<size_t>(axis);
    if (degrees[a] > 1) label += concat(",", name_of(axis), "=", coordinates[a]);
  }
  return label;
}

double or_zero(std::optional<int64_t> bytes) { return static_cast<double>(bytes.value_or(0)); }

}  // namespace

void Telemetry::gather() {
  std::array<double, kNumStats> mine{};
  mine[kTime] = unix_seconds_now();
  const ProcessMemory memory = process_memory();
  mine[kResident] = or_zero(memory.resident);
  mine[kPeak] = or_zero(memory.peak_resident);
  heartbeats_s_.clear();
  resident_bytes_ = peak_bytes_ = 0;
  for (const auto& stats : all_gather_on_host(*world_, mine)) {
    heartbeats_s_.push_back(stats[kTime]);
    resident_bytes_ = std::max(resident_bytes_, stats[kResident]);
    peak_bytes_ = std::max(peak_bytes_, stats[kPeak]);
  }
  comm_rows_ = comm_.gather(*world_);
}

double Telemetry::flops_per_token(int64_t length) {
  // Counted once for each sequence length: the length changes only a few times in a run.
  double& sum = flops_[length];
  if (sum > 0) return sum;
  for (const FlopsTerm& term : flops_terms(model_, length)) sum += term.training;
  return sum;
}

void Telemetry::add_ranks(Record& record) const {
  const auto logs = Shown::logs;
  for (const Axis axis : kLayoutAxes) {
    const int64_t degree = degrees_[static_cast<size_t>(axis)];
    record.numbers.push_back({"layout_degree", degree, MetricKind::gauge, concat("axis=", name_of(axis)), logs});
  }
  record.numbers.push_back({"memory_bytes", resident_bytes_, MetricKind::gauge, "kind=resident", logs});
  record.numbers.push_back({"memory_bytes", peak_bytes_, MetricKind::gauge, "kind=peak", logs});
  for (const CommPerStep::Row& row : comm_rows_) {
    record.numbers.push_back({"comm_sent_bytes", row.sent_bytes, MetricKind::gauge, "group=" + row.group, logs});
    record.numbers.push_back({"comm_wait_seconds", row.waited_s, MetricKind::gauge, "group=" + row.group, logs});
  }
  for (const auto& [group, seconds] : trace_->waited_s()) {
    record.numbers.push_back({"comm_wait_seconds_total", seconds, MetricKind::counter, "group=" + group, logs});
  }
  for (size_t rank = 0; rank < heartbeats_s_.size(); ++rank) {
    record.numbers.push_back({"rank_heartbeat_timestamp_seconds", heartbeats_s_[rank], MetricKind::gauge,
                              label_of(rank, degrees_), Shown::served});
  }
}

Record Telemetry::step(const StepFacts& f, bool logged) {
  const StepReport& r = *f.report;
  comm_.count_step();
  if (logged) gather();
  Record record{"step", f.step, {}};
  auto add = [&](std::string_view key, std::variant<int64_t, double> value, const std::string& label = "",
                 Shown shown = Shown::everywhere, MetricKind kind = MetricKind::gauge) {
    record.numbers.push_back({key, value, kind, label, shown});
  };
  const double rate = static_cast<double>(f.tokens) / f.step_s;
  add("loss", r.loss);
  for (size_t d = 0; d < r.mtp_loss.size(); ++d) add("mtp_loss", r.mtp_loss[d], concat("depth=", d + 1));
  add("grad_norm", r.grad_norm);
  add("learning_rate", f.learning_rate);
  add("tokens_per_second", rate);
  add("step_duration_seconds", f.step_s, "", Shown::everywhere, MetricKind::histogram);
  if (r.expert_load_max > 0) {
    add("expert_load_ratio", r.expert_load_max, "stat=max");
    add("expert_load_ratio", r.expert_load_p95, "stat=p95", Shown::logs);
    add("expert_load_ratio", r.expert_load_min, "stat=min", Shown::logs);
    add("dead_experts", r.dead_experts, "", Shown::logs);
    add("balance_loss", r.balance_loss, "", Shown::logs);
  }
  if (r.gain) {
    add("hyper_gain_ratio", r.gain->first, "direction=forward");
    add("hyper_gain_ratio", r.gain->second, "direction=backward", Shown::logs);
  }
  add("model_flops_per_second", rate * flops_per_token(f.shape.sequence_length), "", Shown::logs);
  add("batch_sequences", f.shape.global_sequences, "", Shown::logs);
  add("sequence_tokens", f.shape.sequence_length, "", Shown::logs);
  add("tokens_total", f.consumed_tokens, "", Shown::logs, MetricKind::counter);
  add("data_wait_seconds", f.data_wait_s, "", Shown::logs);
  add("data_wait_seconds_total", f.data_wait_total_s, "", Shown::logs, MetricKind::counter);
  add("skipped_steps_total", f.progress->skipped_nonfinite, "reason=nonfinite", Shown::logs, MetricKind::counter);
  add("skipped_steps_total", f.progress->skipped_spikes, "reason=spike", Shown::logs, MetricKind::counter);
  add("bad_samples_total", f.progress->bad_samples, "", Shown::logs, MetricKind::counter);
  if (logged) add_ranks(record);
  return record;
}

Record Telemetry::checkpoint(const SaveReport& r, int64_t failed_saves) {
  if (r.saved) saved_at_s_ = unix_seconds_now();
  Record record{"checkpoint", r.step, {}};
  auto add = [&](std::string_view key, std::variant<int64_t, double> value, const std::string& label = "",
                 MetricKind kind = MetricKind::gauge) {
    record.numbers.push_back({key, value, kind, label});
  };
  add("saved", static_cast<int64_t>(r.saved), "", MetricKind::log_only);
  add("duration_seconds", r.copy_s, "phase=copy");
  add("duration_seconds", r.write_s, "phase=write");
  add("duration_seconds", r.blocked_s, "phase=blocked");
  add("bytes", r.bytes);
  add("failed_total", failed_saves, "", MetricKind::counter);
  record.numbers.push_back({"last_success_timestamp_seconds", saved_at_s_, MetricKind::gauge, "", Shown::logs});
  return record;
}

Record Telemetry::evaluation(const EvaluationResult& e, double duration_s) {
  return {
      "eval",
      e.step,
      {{"loss", e.loss}, {"bits_per_byte", e.bits_per_byte}, {"tokens", e.tokens}, {"duration_seconds", duration_s}}};
}

}  // namespace birkhoff
