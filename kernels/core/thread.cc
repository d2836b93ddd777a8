#include "kernels/core/thread.h"

#include <exception>
#include <system_error>
#include <vector>

#include "kernels/core/error.h"

namespace birkhoff {

std::thread start_thread(const std::string& purpose, std::function<void()> body) {
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& e) {
    throw UserError(concat("the system refuses a thread that ", purpose, ": ", e.code().message(),
                           ". Raise the limits of processes and of memory (ulimit -u, ulimit -v, pids.max of a "
                           "container), or start fewer threads and ranks"));
  }
}

void run_on_threads(size_t count, const std::string& purpose, const std::function<void(size_t index)>& body) {
  std::vector<std::exception_ptr> errors(count + 1);  // the last one is for a thread that could not be started
  const auto guarded = [&](size_t index) {
    try {
      body(index);
    } catch (...) {
      errors[index] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  try {
    threads.reserve(count);
    for (size_t i = 1; i < count; ++i) threads.push_back(start_thread(purpose, [&guarded, i] { guarded(i); }));
  } catch (...) {
    errors[count] = std::current_exception();
  }
  if (count > 0 && !errors[count]) guarded(0);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace birkhoff
