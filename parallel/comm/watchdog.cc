#include "parallel/comm/watchdog.h"

#include <algorithm>
#include <chrono>

#include "kernels/core/error.h"
#include "kernels/core/thread.h"
#include "parallel/comm/dumps.h"

namespace birkhoff {
namespace {
using Clock = std::chrono::steady_clock;
constexpr auto kTick = std::chrono::milliseconds(50);
// The longest time that one tick counts toward a deadline. A longer tick means that the process stood still.
constexpr double kLongestTick_s = 1.0;
// A rank waits this long for the others to write their dumps, and this long again for each lower rank (at most 8 of
// them), so that lower ranks print first.
constexpr auto kGrace = std::chrono::milliseconds(500);
// The rank that prints waits this much longer for dumps that are not there yet. Those of ranks that hang never come.
constexpr auto kPatience = std::chrono::seconds(2);

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

namespace {

// Waits until every rank has written its dump, but no longer than kPatience.
RankDumps gather_dumps(const std::string& folder, int rank, int size) {
  const auto end = Clock::now() + kPatience;
  for (;;) {
    RankDumps dumps = read_dumps(folder, rank, size);
    const bool complete = std::all_of(dumps.begin(), dumps.end(), [](const auto& dump) { return dump.has_value(); });
    if (complete || Clock::now() >= end) return dumps;
    std::this_thread::sleep_for(kTick);
  }
}

// Whether ranks run on other hosts than this one and none of them has left a dump. The ranks of a host are consecutive.
bool other_hosts_are_silent(const RankDumps& dumps, const Communicator& world) {
  const int first = world.rank() - world.local_rank(), end = first + world.local_size();
  for (int r = 0; r < world.size(); ++r) {
    if ((r < first || r >= end) && dumps[static_cast<size_t>(r)]) return false;
  }
  return world.local_size() < world.size();
}

// What the rank that prints says for all.
std::string join_dumps(const ExpiredRank& of) {
  const int rank = of.world.rank(), size = of.world.size();
  const RankDumps dumps = gather_dumps(of.folder, rank, size);
  const std::string unseen =
      other_hosts_are_silent(dumps, of.world)
          ? concat(
                "No rank of another host left a dump in ", of.folder,
                ". If the hosts do not share this folder, those ranks are not silent, and each host names a cause of "
                "its own\n")
          : "";
  return concat(describe(follow_all_waits(dumps, rank), dumps, of.names), ".\n", list_dumps(dumps, of.names), unseen,
                "Last operations: ", of.folder, "/watchdog_rank_*.json\n");
}

}  // namespace

void dump_and_abort(const ExpiredRank& of, const std::string& why, const ProcessEnd& end) {
  const int rank = of.world.rank();
  const Waiting waiting = of.trace.waiting_for();
  const bool dumped = !of.folder.empty() && write_dump(of, waiting, why);
  std::this_thread::sleep_for(kGrace * (1 + std::min(rank, 8)));
  if (dumped && lower_rank_dumped(of.folder, rank)) {
    std::this_thread::sleep_for(kPatience + 2 * kGrace);  // that rank ends this one as soon as it has printed
  } else {
    const std::string own = concat(name_of_rank(rank, of.world.size(), of.names), ": ", waiting.text, ".\n");
    end.print(concat("error: ", why, ": ", dumped ? join_dumps(of) : own));
  }
  of.world.abort(why, kExitLostPeer);
  end.leave(kExitLostPeer);
}

}  // namespace birkhoff
