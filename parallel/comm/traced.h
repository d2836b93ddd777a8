#pragma once
#include <memory>
#include <string>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// The last operations of one rank, over all its groups. Thread-safe.
class Trace {
 public:
  static constexpr size_t kCapacity = 64;
  Trace();
  ~Trace();

  // JSON:
  // {"rank":..,"pending":N,"operations":[{"sequence","group","op","reduce","dtype","bytes","peer","tag","where","age_s",
  // "state"}]}, oldest first. State is "pending", "done" or "failed".
  std::string to_json() const;
  // The oldest operation that is not over, as a sentence; empty if there is none.
  std::string oldest_pending() const;

  struct Impl;
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// A communicator that records every operation of `inner`, and of the groups split from it, in `trace`.
std::unique_ptr<Communicator> make_traced(Communicator& inner, std::shared_ptr<Trace> trace);

}  // namespace birkhoff
