#pragma once
#include <mutex>
#include <vector>

#include "parallel/comm/engine/backoff.h"

namespace birkhoff {

// Something that makes progress when it is polled. poll() never blocks and never throws: a failure is stored for those
// who wait.
class Pollable {
 public:
  virtual ~Pollable() = default;
  virtual void poll() noexcept = 0;
};

// Polls all Pollables of one rank. A rank that waits must poll all of them: a peer may need its next step in another
// group before it can take part in the operation that the rank waits for.
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

}  // namespace birkhoff
