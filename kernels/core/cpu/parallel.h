#pragma once
#include <algorithm>
#include <cstdint>

namespace birkhoff {

// Threads of the calling thread's OpenMP team, the one that oneDNN uses too. Ranks that are threads set it to 1.
int num_threads();
void set_num_threads(int threads);
// The same, and starts the team. Errors: UserError if the system refuses its threads; OpenMP would end the process.
void start_team(int threads);

namespace detail {
using RangeFn = void (*)(void* context, int64_t begin, int64_t end);
void parallel_ranges(int64_t count, int64_t grain, void* context, RangeFn fn);
}  // namespace detail

// Calls body(begin, end) over [0, count) in ranges of at least `grain` elements, one range a thread. Ranges depend on
// the number of threads, so a body must not reduce across elements. An exception of a body is rethrown here.
template <class Body>
void parallel_for(int64_t count, int64_t grain, Body&& body) {
  auto call = [](void* context, int64_t begin, int64_t end) {
    (*static_cast<std::remove_reference_t<Body>*>(context))(begin, end);
  };
  detail::parallel_ranges(count, std::max<int64_t>(grain, 1), const_cast<void*>(static_cast<const void*>(&body)), call);
}

}  // namespace birkhoff
