#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "parallel/comm/watchdog.h"

namespace birkhoff {

// The ranks of a run, looked after from the first collective to the last: every operation is traced, and phases have
// deadlines. On expiry it does as dump_and_abort() does.
class WatchedWorld {
 public:
  // `world` outlives it.
  WatchedWorld(Communicator& world, ProcessEnd end);

  Communicator& world() { return *traced_; }
  Watchdog& watchdog() { return watchdog_; }
  const Trace& trace() const { return trace_; }
  // Where dumps go from now on; before, there are none. One that an earlier run left there gets the ending .before.
  void set_folder(const std::string& folder);

 private:
  void expire(const std::string& why);

  Communicator& world_;
  Trace trace_;
  std::unique_ptr<Communicator> traced_;
  std::mutex mutex_;
  std::string folder_;
  ProcessEnd end_;
  Watchdog watchdog_;
};

}  // namespace birkhoff
