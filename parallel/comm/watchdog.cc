#include "parallel/comm/watchdog.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>

#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "kernels/core/thread.h"

namespace birkhoff {
namespace {
using Clock = std::chrono::steady_clock;
constexpr auto kTick = std::chrono::milliseconds(50);
// The longest time that one tick counts toward a deadline. A longer tick means that the process stood still.
constexpr double kLongestTick_s = 1.0;
// A rank waits this long for the others to write their dumps, and this long again for each lower rank (at most 8 of
// them), so that lower ranks print first.
constexpr auto kGrace = std::chrono::milliseconds(500);
// Dumps that belong to one expiry are written within this time of each other.
constexpr auto kSameExpiry = std::chrono::seconds(30);

std::optional<std::filesystem::file_time_type> changed_at(const std::string& path) {
  std::error_code missing;
  const auto time = std::filesystem::last_write_time(path, missing);
  if (missing) return std::nullopt;
  return time;
}

}  // namespace

Watchdog::Watchdog(OnExpiry on_expiry)
    : on_expiry_(std::move(on_expiry)), thread_(start_thread("watches deadlines", [this] { watch(); })) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Watchdog::Scope Watchdog::guard(std::string phase, double deadline_s, std::string setting) {
  const std::lock_guard lock(mutex_);
  phases_.push_back({std::move(phase), std::move(setting), deadline_s});
  return Scope(*this);
}

void Watchdog::leave() {
  const std::lock_guard lock(mutex_);
  phases_.pop_back();
}

void Watchdog::watch() {
  std::unique_lock lock(mutex_);
  for (auto last = Clock::now(); !wake_.wait_for(lock, kTick, [this] { return stopping_; });) {
    const auto now = Clock::now();
    const double tick_s = std::min(std::chrono::duration<double>(now - last).count(), kLongestTick_s);
    last = now;
    if (phases_.empty() || phases_.back().deadline_s <= 0) continue;
    Phase& phase = phases_.back();
    phase.spent_s += tick_s;
    if (phase.spent_s <= phase.deadline_s) continue;
    const std::string advice =
        phase.setting.empty() ? "" : concat(" (", phase.setting, ": raise it if that is too short)");
    const std::string why = concat(phase.name, " did not end within ", phase.deadline_s, " s", advice);
    lock.unlock();  // the callback may take long, and scopes of the rank must not wait for it
    return on_expiry_(why);
  }
}

std::string dump_path(const std::string& folder, int rank) { return concat(folder, "/watchdog_rank_", rank, ".json"); }

namespace {

// Whether a lower rank wrote its dump at about the same time as this rank. If so, that rank prints.
bool lower_rank_prints(const std::string& folder, int rank) {
  const auto own = changed_at(dump_path(folder, rank));
  for (int lower = 0; own && lower < rank; ++lower) {
    const auto other = changed_at(dump_path(folder, lower));
    if (other && *own - *other < kSameExpiry) return true;
  }
  return false;
}

}  // namespace

void dump_and_abort(Communicator& world, const Trace& trace, const std::string& folder, const std::string& why,
                    const ProcessEnd& end) {
  const std::string waiting = trace.waiting_for();
  const std::string path = dump_path(folder, world.rank());
  bool dumped = false;
  const nlohmann::json dump{{"rank", world.rank()},
                            {"size", world.size()},
                            {"why", why},
                            {"waiting_for", waiting},
                            {"operations", nlohmann::json::parse(trace.to_json())}};
  if (!folder.empty()) dumped = static_cast<bool>(std::ofstream(path) << dump.dump(1) << std::endl);
  std::this_thread::sleep_for(kGrace * (1 + std::min(world.rank(), 8)));
  if (!dumped || !lower_rank_prints(folder, world.rank()))
    end.print(concat("error: ", why, ": rank ", world.rank(), " of ", world.size(), ": ", waiting, ".",
                     dumped ? concat(" Last operations: ", path) : "", "\n"));
  world.abort(why, kExitLostPeer);
  end.leave(kExitLostPeer);
}

}  // namespace birkhoff
