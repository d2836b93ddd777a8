#pragma once
#include <functional>
#include <memory>
#include <string>

namespace birkhoff {

// Serves one page to HTTP clients of this host at http://127.0.0.1:PORT/PATH, using one thread of GNU libmicrohttpd.
// The thread waits for all clients at once, so a client that connects and sends nothing delays nobody; it is dropped
// after `client_timeout_s`. The thread has the system's default stack size, because the thread-local memory of CUDA's
// libraries, about 100 KB, is taken from the stack of every thread.
class PageServer {
 public:
  virtual ~PageServer() = default;
  virtual int port() const = 0;
};

struct PageServerOptions {
  int port = 0;  // 0: any that is free
  std::string path = "/metrics", type = "text/plain; version=0.0.4; charset=utf-8";
  std::function<std::string()> page;  // called by the server's thread
  // Called on the server's thread with everything that goes wrong while it serves. May be empty.
  std::function<void(const std::string&)> log;
  unsigned client_timeout_s = 5;  // the time without a byte from or to a client after which it is dropped
  // Limited further to an eighth of the file descriptors that the process may have. When all places are taken, further
  // clients wait until one has its answer or is dropped.
  unsigned max_clients = 256;
};

// Errors: UserError with the system's reason if the port cannot be opened or the thread cannot be started.
std::unique_ptr<PageServer> serve_page(PageServerOptions options);

}  // namespace birkhoff
