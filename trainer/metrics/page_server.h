#pragma once
#include <functional>
#include <memory>
#include <string>

namespace birkhoff {

// Serves one page to HTTP clients of this host, http://127.0.0.1:PORT/PATH, on one thread, which waits for all clients
// at once: one that connects and says nothing keeps nobody else waiting, and is dropped after some seconds. A library's
// server takes a thread a client, and stacks too small for the thread-local memory of CUDA's libraries.
class PageServer {
 public:
  virtual ~PageServer() = default;
  virtual int port() const = 0;
};

struct PageServerOptions {
  int port = 0;  // 0: any that is free
  std::string path = "/metrics", type = "text/plain; version=0.0.4; charset=utf-8";
  std::function<std::string()> page;  // called by the server's thread
  double client_timeout_s = 5;        // from its connection to the end of its answer
  size_t max_clients = 64;            // then the one that came first is dropped
};

// Errors: UserError with the system's reason if the port or the thread cannot be had.
std::unique_ptr<PageServer> serve_page(PageServerOptions options);

}  // namespace birkhoff
