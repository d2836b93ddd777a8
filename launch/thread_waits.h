#pragma once

namespace birkhoff {

// Threads of the OpenMP team wait for each other by a bounded spin, then asleep. Without a bound they spin for
// milliseconds while the thread they wait for has no core: beside other programs a step takes hundreds of times as
// long. While others want the cores they sleep at once (kernels/core/cpu/crowded.h).
// The OpenMP library reads its settings when it is loaded, before main: so this sets them in the environment and
// starts the program again, once. What the user has set (OMP_WAIT_POLICY, GOMP_SPINCOUNT, KMP_BLOCKTIME) stays.
void bound_thread_waits(char** argv);

}  // namespace birkhoff
