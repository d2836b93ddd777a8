#include "trainer/metrics/page_server.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <exception>
#include <mutex>
#include <string_view>

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// Leaves most file descriptors to the run, however many clients connect: `ulimit -n` may be low.
unsigned share_of_descriptors(unsigned wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  return static_cast<unsigned>(std::clamp<rlim_t>(limit.rlim_cur / 8, 1, wanted));
}

struct Answer {
  unsigned status = MHD_HTTP_OK;
  std::string type, body;
};

MHD_Result send(MHD_Connection* connection, Answer answer) {
  MHD_Response* response =
      MHD_create_response_from_buffer(answer.body.size(), answer.body.data(), MHD_RESPMEM_MUST_COPY);
  if (!response) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.type.c_str());
  // Close the connection, because the next scrape comes later than the client timeout.
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  if (answer.status == MHD_HTTP_METHOD_NOT_ALLOWED)
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  const MHD_Result result = MHD_queue_response(connection, answer.status, response);
  MHD_destroy_response(response);
  return result;
}

// libmicrohttpd, which is written in C, calls the static functions: no exception may leave them.
class Server final : public PageServer {
 public:
  explicit Server(PageServerOptions options) : options_(std::move(options)) {
    const auto port = static_cast<uint16_t>(options_.port);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // The library binds to the port in `address`; the port that is passed separately only appears in its messages.
    daemon_ = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, port, nullptr, nullptr, &on_request,
                               this, MHD_OPTION_EXTERNAL_LOGGER, &on_log, this, MHD_OPTION_SOCK_ADDR, &address,
                               MHD_OPTION_THREAD_STACK_SIZE, size_t{0}, MHD_OPTION_CONNECTION_TIMEOUT,
                               options_.client_timeout_s, MHD_OPTION_CONNECTION_LIMIT,
                               share_of_descriptors(options_.max_clients), MHD_OPTION_END);
    BK_CHECK(daemon_, first_message_.empty() ? "libmicrohttpd gives no reason" : first_message_);
    port_ = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_BIND_PORT)->port;
  }
  ~Server() override { MHD_stop_daemon(daemon_); }
  int port() const override { return port_; }

 private:
  static MHD_Result on_request(void* self, MHD_Connection* connection, const char* path, const char* method,
                               const char* version, const char* body, size_t* body_size, void** request) noexcept;
  static void on_log(void* self, const char* format, va_list arguments) noexcept __attribute__((format(printf, 2, 0)));
  Answer answer_to(std::string_view method, std::string_view path);
  void log(const std::string& message);

  PageServerOptions options_;
  std::mutex log_mutex_;
  std::string first_message_;  // first thing the library logged: the reason of a failed start
  MHD_Daemon* daemon_ = nullptr;
  int port_ = 0;
};

MHD_Result Server::on_request(void* self, MHD_Connection* connection, const char* path, const char* method,
                              const char* /*version*/, const char* /*body*/, size_t* /*body_size*/,
                              void** /*request*/) noexcept {
  try {
    return send(connection, static_cast<Server*>(self)->answer_to(method, path));
  } catch (...) {
    return MHD_NO;  // out of memory: drop the client
  }
}

void Server::on_log(void* self, const char* format, va_list arguments) noexcept {
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  std::string_view message = text;
  while (message.ends_with('\n')) message.remove_suffix(1);
  try {
    static_cast<Server*>(self)->log(std::string(message));
  } catch (...) {  // out of memory: the message is lost
  }
}

void Server::log(const std::string& message) {
  const std::lock_guard lock(log_mutex_);
  if (first_message_.empty()) first_message_ = message;
  if (options_.log) options_.log(message);
}

Answer Server::answer_to(std::string_view method, std::string_view path) {
  constexpr const char* kPlain = "text/plain; charset=utf-8";
  if (path != options_.path) return {MHD_HTTP_NOT_FOUND, kPlain, concat("see ", options_.path, "\n")};
  if (method != MHD_HTTP_METHOD_GET && method != MHD_HTTP_METHOD_HEAD)
    return {MHD_HTTP_METHOD_NOT_ALLOWED, kPlain, "only GET and HEAD\n"};
  try {
    return {MHD_HTTP_OK, options_.type, options_.page()};
  } catch (const std::exception& e) {
    log(concat("the page cannot be made: ", e.what()));
    return {MHD_HTTP_INTERNAL_SERVER_ERROR, kPlain, "the page cannot be made\n"};
  }
}

}  // namespace

std::unique_ptr<PageServer> serve_page(PageServerOptions options) {
  return std::make_unique<Server>(std::move(options));
}

}  // namespace birkhoff
