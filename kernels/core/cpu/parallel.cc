#include "kernels/core/cpu/parallel.h"

#include <atomic>
#include <exception>
#include <latch>
#include <thread>
#include <vector>

#include <omp.h>

#include "kernels/core/thread.h"

namespace birkhoff {

// Returns 1 inside a parallel region, because nested regions would start more threads than there are cores.
int num_threads() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }
void set_num_threads(int threads) { omp_set_num_threads(std::max(threads, 1)); }

namespace {

// Runs `count` threads at the same time, besides this one, to find out whether the system allows that many.
void try_threads(int count) {
  std::latch end(1);
  std::vector<std::thread> threads;
  const auto join = [&] {
    end.count_down();
    for (std::thread& thread : threads) thread.join();
  };
  try {
    for (int i = 0; i < count; ++i) threads.push_back(start_thread("computes", [&] { end.wait(); }));
  } catch (...) {
    join();
    throw;
  }
  join();
}

}  // namespace

void start_team(int threads) {
  threads = std::max(threads, 1);
  set_num_threads(threads);
  if (threads == 1) return;
  try_threads(threads - 1);
  std::atomic<int> started{0};  // gives the region a body; the compiler would drop an empty one
#pragma omp parallel num_threads(threads)
  ++started;
}

namespace detail {

void parallel_ranges(int64_t count, int64_t grain, void* context, RangeFn fn) {
  const int64_t parts = std::min<int64_t>(num_threads(), (count + grain - 1) / grain);
  if (parts <= 1) {
    if (count > 0) fn(context, 0, count);
    return;
  }
  std::exception_ptr failure;  // no exception may leave a parallel region; one of them is kept
#pragma omp parallel num_threads(static_cast <int>(parts))
  {
    // The runtime may grant fewer threads than requested, so the ranges follow the actual size of the team.
    const int64_t part = omp_get_thread_num(), team = omp_get_num_threads();
    const int64_t begin = count * part / team, end = count * (part + 1) / team;
    try {
      if (begin < end) fn(context, begin, end);
    } catch (...) {
#pragma omp critical(birkhoff_parallel_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace detail
}  // namespace birkhoff
