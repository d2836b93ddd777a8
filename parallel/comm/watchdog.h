#pragma once
#include <functional>
#include <memory>
#include <string>

namespace birkhoff {

// A thread that ends the run when a phase lasts longer than its deadline. A phase is armed by a scope; scopes nest, and
// the innermost one counts. Without a scope nothing can expire.
class Watchdog {
 public:
  // Called once, on the watchdog's thread: dump, say why, abort with exit code 4. `why` names phase and deadline.
  using OnExpiry = std::function<void(const std::string& why)>;
  explicit Watchdog(OnExpiry on_expiry);
  ~Watchdog();

  class Scope {
   public:
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    friend class Watchdog;
    explicit Scope(Watchdog& watchdog) : watchdog_(watchdog) {}
    Watchdog& watchdog_;
  };
  // "start-up", "step 12", "checkpoint". A deadline of 0 never expires.
  [[nodiscard]] Scope guard(const std::string& phase, double deadline_s);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace birkhoff
