#pragma once
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// What one rank waits for.
struct Waiting {
  std::string text;         // a sentence that names the operations and the missing ranks, or says that it waits in none
  std::vector<Wait> waits;  // the operations that it must finish before it can go on; empty if it waits for nobody
};

// The latest operations of one rank in all its groups. Thread-safe: the watchdog reads it while the rank waits.
class Trace {
 public:
  static constexpr size_t kCapacity = 64;

  // A JSON array, oldest first, of objects {"sequence", "group", "operation", "bytes", "where", "age_s", "state"}. The
  // state is "started", "waiting" (the rank is in its wait), "done" or "failed".
  std::string to_json() const;
  Waiting waiting_for() const;
  // Seconds that this rank has spent waiting so far, by name of the group.
  std::map<std::string, double> waited_s() const;
  // Bytes that this rank has sent to others so far (Operation::count_sent), by name of the group.
  std::map<std::string, int64_t> sent_bytes() const;

 private:
  friend class TracedCommunicator;
  enum class State : uint8_t { started, waiting, done, failed };
  struct Record {
    uint64_t sequence;
    std::string group, operation, where;
    int64_t bytes;
    std::vector<int> others;  // whom a send or recv waits for: a rank of the world
    std::chrono::steady_clock::time_point begin;
    State state = State::started;
  };
  class TracedWork;

  std::shared_ptr<Record> add(const Communicator& group, const Operation& operation);
  void set(const std::shared_ptr<Record>& record, State state);
  void add_wait(const Record& record, std::chrono::steady_clock::time_point begin);
  void watch(const Communicator* group);
  void unwatch(const Communicator* group);
  static std::string describe(const Record& record);

  mutable std::mutex mutex_;
  uint64_t recorded_ = 0;
  std::deque<std::shared_ptr<Record>> records_;
  std::vector<std::shared_ptr<Record>> waiting_;  // may have become too old for records_
  std::vector<const Communicator*> groups_;
  std::map<std::string, double> waited_s_;
  std::map<std::string, int64_t> sent_bytes_;
};

// A communicator that records in `trace` every operation of `inner` and of the groups split from it. `inner` and
// `trace` must outlive it.
std::unique_ptr<Communicator> make_traced(Communicator& inner, Trace& trace);

}  // namespace birkhoff
