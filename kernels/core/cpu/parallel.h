#pragma once
#include <algorithm>
#include <cstdint>

namespace birkhoff {

// Number of threads in the calling thread's OpenMP team, which oneDNN uses too. Ranks that are threads of one process
// set it to 1.
int num_threads();
void set_num_threads(int threads);
// Sets the number of threads and starts them. Errors: UserError if the system refuses the threads, where OpenMP itself
// would end the process.
void start_team(int threads);

namespace detail {
using RangeFn = void (*)(void* context, int64_t begin, int64_t end);
void parallel_ranges(int64_t count, int64_t grain, void* context, RangeFn fn);
}  // namespace detail

// Calls body(begin, end) for ranges that cover [0, count), one per thread and at most count / grain (rounded up) of
// them. Ranges depend on the number of threads, so a body must not reduce across elements. If bodies throw, rethrows
// one of the exceptions.
template <class Body>
void parallel_for(int64_t count, int64_t grain, Body&& body) {
  auto call = [](void* context, int64_t begin, int64_t end) {
    (*static_cast<std::remove_reference_t<Body>*>(context))(begin, end);
  };
  detail::parallel_ranges(count, std::max<int64_t>(grain, 1), const_cast<void*>(static_cast<const void*>(&body)), call);
}

}  // namespace birkhoff
