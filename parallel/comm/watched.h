#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "parallel/comm/watchdog.h"

namespace birkhoff {

// The world of a run, supervised from the first collective to the last: every operation is traced, and phases have
// deadlines. When one expires, calls dump_and_abort().
class WatchedWorld {
 public:
  // `world` must outlive this object.
  WatchedWorld(Communicator& world, ProcessEnd end);

  Communicator& world() { return *traced_; }
  Watchdog& watchdog() { return watchdog_; }
  const Trace& trace() const { return trace_; }
  // Writes dumps to this folder from now on; before this call, none are written. Renames a dump that an earlier run
  // left there: adds the ending .before.
  void set_folder(const std::string& folder);
  // What messages and dumps say of the layout from now on.
  void set_names(LayoutNames names);

 private:
  void expire(const std::string& why);

  Communicator& world_;
  Trace trace_;
  std::unique_ptr<Communicator> traced_;
  std::mutex mutex_;
  std::string folder_;
  LayoutNames names_;
  ProcessEnd end_;
  Watchdog watchdog_;
};

}  // namespace birkhoff
