#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <thread>

namespace birkhoff {

// Starts a thread. All code of this project starts its threads here (libraries start their own). `purpose` completes
// the message "the system refuses a thread that ...", for example "writes checkpoints". Errors: UserError that says
// what to do, if the system refuses the thread (a limit of processes or of memory).
std::thread start_thread(const std::string& purpose, std::function<void()> body);

// Calls body(0) on this thread and body(1) to body(count - 1) each on a thread of its own, and waits for all of them.
// If several throw, rethrows the exception of the lowest index.
void run_on_threads(size_t count, const std::string& purpose, const std::function<void(size_t index)>& body);

}  // namespace birkhoff
