#pragma once
#include <compare>
#include <map>
#include <memory>
#include <string>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// The time that the thread of one rank spends on communication, by group and operation.
struct CommMeter {
  struct Row {
    int64_t calls = 0, bytes = 0;
    double start_s = 0, wait_s = 0;  // time in the calls that start an operation, and in those that wait for it
    // Bytes of operations that had finished before the thread waited for any operation. A wait makes progress on all
    // operations in flight, so an operation that finishes during a wait does not count as hidden.
    int64_t over_before_wait = 0;
  };
  struct Key {
    std::string group, operation;
    auto operator<=>(const Key&) const = default;
  };
  std::map<Key, Row> rows;
  double progress_s = 0;
  int64_t progress_calls = 0;
};

// A communicator that measures every operation of `inner` and of the groups of several ranks split from it. `inner` and
// `meter` must outlive it.
std::unique_ptr<Communicator> make_metered(Communicator& inner, CommMeter& meter);

}  // namespace birkhoff
