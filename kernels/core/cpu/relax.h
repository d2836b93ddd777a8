#pragma once

namespace birkhoff {

// One turn of a loop that spins: tells the processor so, which costs from 10 to 150 cycles.
inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace birkhoff
