#pragma once
#include <chrono>

namespace birkhoff {

// Seconds on a monotonic clock. Only differences between two readings are meaningful.
inline double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace birkhoff
