#pragma once
#include <functional>
#include <memory>
#include <string>

namespace birkhoff {

// Serves one page to HTTP clients of this host, http://127.0.0.1:PORT/PATH, on one thread of GNU libmicrohttpd, which
// waits for all clients at once: one that connects and says nothing keeps nobody else waiting, and is dropped after
// some seconds. The thread has a stack of the system's default size: the thread-local memory of CUDA's libraries, about
// 100 KB, is taken from the stack of every thread.
class PageServer {
 public:
  virtual ~PageServer() = default;
  virtual int port() const = 0;
};

struct PageServerOptions {
  int port = 0;  // 0: any that is free
  std::string path = "/metrics", type = "text/plain; version=0.0.4; charset=utf-8";
  std::function<std::string()> page;  // called by the server's thread
  // Called with what goes wrong while it serves, by the server's thread. May be empty.
  std::function<void(const std::string&)> log;
  unsigned client_timeout_s = 5;  // without a byte from or to the client
  // At most an eighth of the descriptors that the process may have. Further clients wait until one has its answer or is
  // dropped.
  unsigned max_clients = 256;
};

// Errors: UserError with the system's reason if the port or the thread cannot be had.
std::unique_ptr<PageServer> serve_page(PageServerOptions options);

}  // namespace birkhoff
