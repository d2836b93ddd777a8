#pragma once
#include <chrono>

namespace birkhoff {

// Seconds of a clock that is never set back; only differences mean anything.
inline double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace birkhoff
