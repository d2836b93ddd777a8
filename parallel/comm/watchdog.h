#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "parallel/comm/dumps.h"

namespace birkhoff {

// A thread that ends the run when a phase lasts longer than its deadline. A scope begins a phase. Scopes nest, and time
// counts only for the innermost: a checkpoint does not use up the deadline of the step around it. If the whole process
// stands still (a debugger, a suspended machine), this counts as one second at most. Without a scope nothing expires.
class Watchdog {
 public:
  // Called once, on the watchdog's thread. `why` names the phase and its deadline.
  using OnExpiry = std::function<void(const std::string& why)>;
  explicit Watchdog(OnExpiry on_expiry);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  class [[nodiscard]] Scope {
   public:
    ~Scope() { watchdog_.leave(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    friend class Watchdog;
    explicit Scope(Watchdog& watchdog) : watchdog_(watchdog) {}
    Watchdog& watchdog_;
  };
  // `phase` is, for example, "start-up", "step 12" or "checkpoint". A deadline of 0 never expires. `setting` is the
  // name of the setting that holds the deadline; `why` advises the user to raise it.
  Scope guard(std::string phase, double deadline_s, std::string setting = {});

 private:
  struct Phase {
    std::string name, setting;
    double deadline_s, spent_s = 0;
  };
  void leave();
  void watch();

  OnExpiry on_expiry_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::vector<Phase> phases_;
  std::thread thread_;
};

// How the process prints its last message and ends. The program passes these in, because a library neither prints nor
// exits.
struct ProcessEnd {
  std::function<void(const std::string& text)> print;
  std::function<void(int exit_code)> leave;  // does not return
};

// What a run does on expiry: writes a dump (dumps.h), if it has a folder; gives the peers a moment to do the same; then
// the lowest rank that has a dump joins those of all ranks and prints the root of the chain of waits, the operations in
// which the others wait, and one line for each rank; and all ranks end with exit code 4. Waits about two seconds for
// dumps that do not come. Without a dump, a rank prints what it waits for itself.
inline constexpr int kExitLostPeer = 4;
void dump_and_abort(const ExpiredRank& rank, const std::string& why, const ProcessEnd& end);

}  // namespace birkhoff
