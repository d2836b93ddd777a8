#include "trainer/plan/memory.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include <sys/resource.h>

#include "kernels/core/host_memory.h"
#include "kernels/core/process_memory.h"

namespace birkhoff {
namespace {

std::string mib(int64_t bytes) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / (1 << 20);
  return out.str();
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

MemoryPlan memory_plan(const RankBytes& b, DeviceKind device, int ranks_on_host) {
  // The reference device computes in f64, with plain loops that need no scratch to repack operands.
  const bool reference = device == DeviceKind::reference;
  const int64_t widen = reference ? 2 : 1;
  MemoryPlan plan;
  plan.ranks_on_host = ranks_on_host;
  plan.bytes = {{"weights", widen * b.weights},
                {"packed weights", b.packed_weights},
                {"gradients", widen * b.gradients},
                {"moments", widen * b.moments},
                {"Engram tables", widen * b.tables},
                {"moments of tables", widen * b.table_moments},
                {"activations of a microbatch", widen * b.activations},
                {"kernel scratch", reference ? 0 : b.kernel_scratch},
                {"Engram rows of a step", widen * b.table_rows},
                {"checkpoint staging", widen * b.checkpoint_staging},
                {"communication buffers", b.communication_buffers}};
  return plan;
}

MemoryPlan plan_memory(const Config& config, const MeshDegrees& layout, int rank, int ranks_on_host) {
  DryRank dry(config, layout, rank, ranks_on_host);
  return memory_plan(dry.run().bytes, config.run.device, ranks_on_host);
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
