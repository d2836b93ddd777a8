#include "parallel/comm/threads/run_ranks.h"

#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <vector>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/threads/thread_world.h"

namespace birkhoff {
namespace {

// Keeps the first failure. A CommError is usually the echo of another rank's failure, so any other error replaces it.
class FirstFailure {
 public:
  void record(int rank, const std::exception& e, std::function<void(const std::string&)> raise) {
    const std::lock_guard lock(mutex_);
    const bool echo = dynamic_cast<const CommError*>(&e) != nullptr;
    if (raise_ && (echo || !echo_)) return;
    echo_ = echo;
    message_ = is_agreed(e) ? e.what() : concat("rank ", rank, ": ", e.what());
    raise_ = std::move(raise);
  }
  void rethrow() const {
    if (raise_) raise_(message_);
  }

 private:
  std::mutex mutex_;
  bool echo_ = false;
  std::string message_;
  std::function<void(const std::string&)> raise_;
};

template <class E>
void raise_as(const std::string& message) {
  throw E(message);
}

}  // namespace

void run_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  auto world = make_thread_world(ranks);
  FirstFailure failure;
  const auto run = [&](int rank) {
    Communicator& comm = *world[static_cast<size_t>(rank)];
    const auto fail = [&](const std::exception& e, auto raise) {
      failure.record(rank, e, raise);
      comm.abort(e.what(), 3);
    };
    try {
      set_num_threads(1);
      body(comm);
    } catch (const UserError& e) {
      fail(e, raise_as<UserError>);
    } catch (const DataError& e) {
      fail(e, raise_as<DataError>);
    } catch (const CommError& e) {
      fail(e, raise_as<CommError>);
    } catch (const std::bad_alloc& e) {
      fail(e, [](const std::string&) { throw std::bad_alloc(); });
    } catch (const std::exception& e) {
      fail(e, raise_as<BugError>);
    }
  };
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r) threads.emplace_back(run, r);
  for (std::thread& thread : threads) thread.join();
  failure.rethrow();
}

}  // namespace birkhoff
