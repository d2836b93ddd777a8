#pragma once

namespace birkhoff {

// To be called in every turn of a spin loop. Tells the processor that the thread is spinning, which takes 10 to 150
// cycles.
inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace birkhoff
