#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <vector>

namespace birkhoff {

inline double median(std::vector<double> v) {
  if (v.empty()) return 0;
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  if (v.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(v.begin(), middle)) / 2;
}

// Of values of which there is at least one.
inline double mean(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}
inline double largest(const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); }

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin_ = Clock::now();
};

template <class Body>
double seconds_of(Body&& body) {
  const Stopwatch watch;
  body();
  return watch.seconds();
}

// Calls body at least three times and for at least a quarter of a second in all. Returns the seconds of the fastest
// call, because other work on the machine disturbs the minimum least.
template <class Body>
double best_seconds_of(Body&& body) {
  const Stopwatch all;
  double best = seconds_of(body);
  for (int calls = 1; calls < 3 || all.seconds() < 0.25; ++calls) best = std::min(best, seconds_of(body));
  return best;
}

}  // namespace birkhoff
