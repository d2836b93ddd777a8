#pragma once
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace birkhoff {

// Something that moves forward when it is polled. Never blocks and never throws: it keeps its failure for its waiters.
class Pollable {
 public:
  virtual ~Pollable() = default;
  virtual void poll() noexcept = 0;
};

// Everything of one rank that wants polling. Whoever waits polls all of it: a peer may need our step in another group
// before it can take part in the one we wait for.
class Engine {
 public:
  // Held while pollables run and while their state is read or changed.
  std::mutex& mutex() { return mutex_; }
  // To be called with the mutex held.
  void add(Pollable& pollable) { pollables_.push_back(&pollable); }
  void remove(Pollable& pollable) { std::erase(pollables_, &pollable); }

  void poll() {
    const std::lock_guard lock(mutex_);
    // By index: a pollable may remove itself.
    for (size_t i = pollables_.size(); i-- > 0;) pollables_[i]->poll();
  }

 private:
  std::mutex mutex_;
  std::vector<Pollable*> pollables_;
};

// Waiting without a wake-up call: spins for about 0.1 ms, since on a busy machine a yield may give away a whole time
// slice; then yields, then sleeps, so that ranks that outnumber the cores make progress.
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
  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  int turns_ = 0;
};

}  // namespace birkhoff
