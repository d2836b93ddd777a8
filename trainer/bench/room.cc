#include "trainer/bench/room.h"

#include <iomanip>
#include <sstream>

#include "kernels/core/error.h"
#include "trainer/bench/layout_choice.h"

namespace birkhoff {

void check_room(const Communicator& world, const Config& config, const std::vector<MeshDegrees>& layouts,
                const MemoryRoom& room) {
  constexpr double kMiB = 1 << 20;
  std::ostringstream rows;
  int64_t all = 0;
  for (const MeshDegrees& layout : layouts) {
    const MemoryPlan plan = plan_memory(with_layout(config, layout), layout, world.rank(), world.local_size());
    all += plan.total();
    rows << "\n  " << std::left << std::setw(24) << layout_name(layout) << std::right << std::setw(14) << std::fixed
         << std::setprecision(1) << static_cast<double>(plan.total()) / kMiB;
  }
  const auto on_host = static_cast<double>(all) * world.local_size();
  if (on_host <= static_cast<double>(room.of_host) && all <= room.of_process) return;
  std::ostringstream message;
  message << std::fixed << std::setprecision(1) << "there is no room for this bench: its models take " << on_host / kMiB
          << " MiB on this host, with " << world.local_size() << (world.local_size() == 1 ? " rank" : " ranks")
          << ", but " << static_cast<double>(room.of_host) / kMiB << " MiB are available";
  if (room.of_process != INT64_MAX)
    message << ", and a process may take " << static_cast<double>(room.of_process) / kMiB << " MiB more";
  message << "; MiB of one rank by layout:" << rows.str()
          << "\ngive a smaller model by --set, or start more ranks on more hosts";
  throw UserError(message.str());
}

}  // namespace birkhoff
