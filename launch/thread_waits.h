#pragma once

namespace birkhoff {

// Limits how long the threads of the OpenMP team spin when they wait for each other; after that they sleep. Without a
// limit they would keep spinning while the thread that they wait for has no core, and next to other programs a step
// would take hundreds of times as long. While other programs compete for the cores, threads sleep at once
// (kernels/core/cpu/crowded.h).
// The OpenMP library reads its settings when it is loaded, before main(). So this function sets them in the environment
// and executes the program again, once. Settings of the user (OMP_WAIT_POLICY, GOMP_SPINCOUNT, KMP_BLOCKTIME) stay.
void bound_thread_waits(char** argv);

}  // namespace birkhoff
