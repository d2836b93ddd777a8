#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "kernels/core/cpu/crowded.h"
#include "kernels/core/cpu/relax.h"

namespace birkhoff {

// How ranks wait for each other. `sleep` is used only by `bench busy`, which compares the two.
enum class RankWaits : uint8_t { spin_then_sleep, sleep };
inline std::atomic<RankWaits> rank_waits{RankWaits::spin_then_sleep};

// Waits for other ranks, none of which sends a wake-up. Spins for about 0.1 ms first, because a yield may give away a
// whole time slice. Then yields, then sleeps, so that ranks that outnumber the cores make progress. If other programs
// want the cores, sleeps from the start.
class Backoff {
 public:
  void pause() {
    ++turns_;
    if (turns_ < kSpins) {
      for (int i = 0; i < kPauses; ++i) relax();
    } else if (turns_ < kSpins + kYields) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(kSleep_us));
    }
  }

 private:
  static constexpr int kSpins = 500, kPauses = 8, kYields = 1000, kSleep_us = 50;
  int turns_ = is_crowded() || rank_waits.load(std::memory_order_relaxed) == RankWaits::sleep ? kSpins + kYields : 0;
};

}  // namespace birkhoff
