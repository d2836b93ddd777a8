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

// Waiting without a wake-up call: yields first, then sleeps, so that ranks that outnumber the cores make progress.
class Backoff {
 public:
  void pause() {
    if (++turns_ < kYields) return std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::microseconds(kSleep_us));
  }

 private:
  static constexpr int kYields = 2000, kSleep_us = 50;
  int turns_ = 0;
};

}  // namespace birkhoff
