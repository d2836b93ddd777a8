#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <thread>

namespace birkhoff {

// The one way in which our own code starts a thread; libraries start theirs. `purpose` completes "a thread that ...":
// "writes checkpoints". Errors: UserError if the system refuses it (a limit of processes or of memory), with what to
// do.
std::thread start_thread(const std::string& purpose, std::function<void()> body);

// Calls body(0) on this thread, and body(1) to body(count - 1) on threads of their own, and waits for all. Of several
// exceptions the one of the lowest index is rethrown.
void run_on_threads(size_t count, const std::string& purpose, const std::function<void(size_t index)>& body);

}  // namespace birkhoff
