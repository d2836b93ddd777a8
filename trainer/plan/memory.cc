#include "trainer/plan/memory.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include <sys/resource.h>

#include "kernels/core/host_memory.h"
#include "kernels/core/process_memory.h"
#include "parallel/comm/engine/memory_exchange.h"
#include "trainer/plan/describe.h"

namespace birkhoff {
namespace {

// Communicators with buffers of their own: that of all ranks, that of the replicas, and that of the checkpoint writer.
constexpr int kGroups = 3;

std::string mib(int64_t bytes) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / (1 << 20);
  return out.str();
}

int64_t ceil_div(int64_t value, int64_t parts) { return (value + parts - 1) / parts; }

// Bytes of the rows that all microbatches of a step look up, and of their gradients, if no two tokens share a row.
int64_t step_row_bytes(const Config& c, const ModelDescription& d, int64_t replicas) {
  const int64_t tokens = ceil_div(c.batch.global_batch_size, replicas) * c.batch.sequence_length;
  int64_t bytes = 0;
  for (const ModelDescription::Table& t : d.tables) {
    bytes += 2 * std::min(t.rows, tokens * t.rows_per_token) * t.width * static_cast<int64_t>(sizeof(float));
  }
  return bytes;
}

}  // namespace

const char* const kMemoryRemedies =
    "What helps, one of:\n"
    "  - smaller microbatches or less kept for the backward: batch.micro_batch_size, model.recompute=block\n"
    "  - a smaller model: model.hidden_size, model.num_layers, model.engram.rows_per_head\n"
    "  - more memory: fewer ranks on a host, or more hosts, which divide moments and tables among them (parallel.dp)\n";

int64_t MemoryPlan::total() const {
  int64_t sum = 0;
  for (const auto& [name, count] : bytes) sum += count;
  return sum;
}

MemoryPlan plan_memory(const Config& config, int replicas, int ranks_on_host) {
  const ModelDescription d = describe_model(config);
  const ModelDescription::Bytes& b = d.bytes;
  // The reference device computes in f64, with plain loops that need no scratch to repack operands.
  const bool reference = config.run.device == DeviceKind::reference;
  const int64_t widen = reference ? 2 : 1;
  const int64_t moments = ceil_div(b.moments, replicas), tables = ceil_div(b.tables, replicas);
  const int64_t table_moments = ceil_div(b.table_moments, replicas);
  MemoryPlan plan;
  plan.ranks_on_host = ranks_on_host;
  plan.bytes = {{"weights", widen * b.weights},
                {"packed weights", b.packed_weights},
                {"gradients", widen * b.gradients},
                {"moments", widen * moments},
                {"Engram tables", widen * tables},
                {"moments of tables", widen * table_moments},
                {"activations of a microbatch", widen * b.activations},
                {"kernel scratch", reference ? 0 : b.kernel_scratch},
                {"Engram rows of a step", widen * step_row_bytes(config, d, replicas)},
                // The replicas divide the weights among them: each stages and writes only its part.
                {"checkpoint staging", widen * (ceil_div(b.weights, replicas) + moments + tables + table_moments)}};
  if (replicas > 1) {
    const auto board = static_cast<int64_t>(Board::bytes_for(ranks_on_host, BlockPath::staged));
    plan.bytes.emplace_back("communication buffers", kGroups * ceil_div(board, ranks_on_host));
  }
  return plan;
}

MemoryRoom memory_room() {
  MemoryRoom room{available_host_memory().value_or(INT64_MAX), "available on this host"};
  if (const auto group = available_group_memory(); group && *group < room.of_host)
    room = {*group, "left to this control group"};
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    const int64_t used = process_memory().virtual_size.value_or(0);
    room.of_process = std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - used);
  }
  return room;
}

std::string print(const MemoryPlan& plan, const MemoryRoom& room) {
  std::ostringstream out;
  const auto row = [&](const std::string& name, int64_t bytes) {
    out << "  " << std::left << std::setw(32) << name << std::right << std::setw(14) << mib(bytes) << '\n';
  };
  out << "memory of a rank, MiB\n";
  for (const auto& [name, bytes] : plan.bytes) {
    if (bytes > 0) row(name, bytes);
  }
  row("all", plan.total());
  const int64_t needed = plan.total() * plan.ranks_on_host;
  const bool fits = needed <= room.of_host && plan.total() <= room.of_process;
  out << "  " << plan.ranks_on_host << (plan.ranks_on_host == 1 ? " rank" : " ranks")
      << " of this host: " << mib(needed) << " of " << mib(room.of_host) << ' ' << room.limited_by;
  if (room.of_process != INT64_MAX) out << ", " << mib(room.of_process) << " left to a process by ulimit -v";
  out << (fits ? ": fits\n" : ": DOES NOT FIT\n");
  return out.str();
}

}  // namespace birkhoff
