#include "trainer/metrics/page_server.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <list>
#include <string_view>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernels/core/clock.h"
#include "kernels/core/error.h"
#include "kernels/core/thread.h"

namespace birkhoff {
namespace {

constexpr size_t kLargestRequest_bytes = 16 << 10;
constexpr int kRetry_ms = 100;

class Descriptor {
 public:
  Descriptor(int number, const char* what) : number_(number) {
    BK_CHECK(number >= 0, what, ": ", std::strerror(errno));
  }
  ~Descriptor() { close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

// Most descriptors are for the files of the run, however many clients there are: `ulimit -n` may be low.
size_t share_of_descriptors(size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  return std::clamp<size_t>(limit.rlim_cur / 8, 1, wanted);
}

struct Client {
  Client(int socket, double deadline) : socket(socket, "accept"), deadline_s(deadline) {}
  Descriptor socket;
  double deadline_s;
  std::string request, answer;
  size_t sent = 0;
};

std::string answer_of(const char* status, const std::string& type, const std::string& body, bool with_body = true) {
  return concat("HTTP/1.1 ", status, "\r\nContent-Type: ", type, "\r\nContent-Length: ", body.size(),
                "\r\nConnection: close\r\n\r\n", with_body ? body : "");
}

class Server final : public PageServer {
 public:
  explicit Server(PageServerOptions options)
      : options_(std::move(options)),
        listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"),
        wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd") {
    const int yes = 1;
    setsockopt(listener_.number(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(options_.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    BK_CHECK(bind(listener_.number(), plain, size) == 0 && listen(listener_.number(), SOMAXCONN) == 0 &&
                 getsockname(listener_.number(), plain, &size) == 0,
             std::strerror(errno));
    port_ = ntohs(address.sin_port);
    options_.max_clients = share_of_descriptors(options_.max_clients);
    thread_ = start_thread("serves metrics", [this] { serve(); });
  }
  ~Server() override {
    const uint64_t one = 1;
    while (write(wake_.number(), &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread_.join();
  }
  int port() const override { return port_; }

 private:
  void serve();
  void accept_clients();
  // Whether it is still wanted.
  bool attend(Client& client, short events);
  bool receive(Client& client);
  bool send(Client& client);
  std::string answer_to(std::string_view request) const;

  PageServerOptions options_;
  Descriptor listener_, wake_;
  int port_ = 0;
  std::list<Client> clients_;
  std::thread thread_;
};

void Server::serve() {
  while (true) {
    std::vector<pollfd> polled{{wake_.number(), POLLIN, 0}, {listener_.number(), POLLIN, 0}};
    double wait_s = 3600;
    for (const Client& client : clients_) {
      const bool answering = !client.answer.empty();
      polled.push_back({client.socket.number(), static_cast<short>(answering ? POLLOUT : POLLIN), 0});
      wait_s = std::min(wait_s, client.deadline_s - now_s());
    }
    const int wait_ms = static_cast<int>(std::max(wait_s, 0.0) * 1000) + 1;
    if (poll(polled.data(), polled.size(), wait_ms) < 0 && errno != EINTR) return;
    if (polled[0].revents) return;
    size_t i = 2;
    const double now = now_s();
    std::erase_if(clients_, [&](Client& client) {
      const short events = polled[i++].revents;
      return (events && !attend(client, events)) || client.deadline_s < now;
    });
    if (polled[1].revents) accept_clients();
  }
}

void Server::accept_clients() {
  while (true) {
    const int client = accept4(listener_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (client < 0 && (errno == EMFILE || errno == ENFILE) && !clients_.empty()) {
      clients_.pop_front();  // its number is the next client's
      continue;
    }
    if (client < 0 && errno != EAGAIN) {
      pollfd stopped{wake_.number(), POLLIN, 0};
      poll(&stopped, 1, kRetry_ms);  // he waits in the queue, where he would be met again at once
    }
    if (client < 0) break;
    if (clients_.size() >= options_.max_clients) clients_.pop_front();
    clients_.emplace_back(client, now_s() + options_.client_timeout_s);
  }
}

bool Server::attend(Client& client, short events) {
  try {
    if (client.answer.empty()) return (events & (POLLERR | POLLNVAL)) == 0 && receive(client);
    return (events & (POLLERR | POLLNVAL | POLLHUP)) == 0 && send(client);
  } catch (const std::exception&) {
    return false;  // memory, or what the page needs, is short: this client goes without
  }
}

bool Server::receive(Client& client) {
  char part[4096];
  const ssize_t bytes = recv(client.socket.number(), part, sizeof part, 0);
  if (bytes < 0) return errno == EINTR || errno == EAGAIN;
  if (bytes == 0) return false;
  client.request.append(part, static_cast<size_t>(bytes));
  if (client.request.find("\r\n\r\n") == std::string::npos) return client.request.size() < kLargestRequest_bytes;
  client.answer = answer_to(client.request);
  return send(client);
}

bool Server::send(Client& client) {
  const ssize_t bytes = ::send(client.socket.number(), client.answer.data() + client.sent,
                               client.answer.size() - client.sent, MSG_NOSIGNAL);
  if (bytes < 0) return errno == EINTR || errno == EAGAIN;
  client.sent += static_cast<size_t>(bytes);
  return client.sent < client.answer.size();
}

std::string Server::answer_to(std::string_view request) const {
  const std::string_view line = request.substr(0, request.find("\r\n"));
  const size_t first = line.find(' '), last = line.rfind(' ');
  const std::string_view method = line.substr(0, first);
  if (first == last || !line.substr(last + 1).starts_with("HTTP/1.")) {
    return answer_of("400 Bad Request", "text/plain", "expected a request of HTTP/1\n");
  }
  std::string_view path = line.substr(first + 1, last - first - 1);
  path = path.substr(0, path.find('?'));
  if (path != options_.path) return answer_of("404 Not Found", "text/plain", concat("see ", options_.path, "\n"));
  if (method != "GET" && method != "HEAD") return answer_of("405 Method Not Allowed", "text/plain", "only GET\n");
  return answer_of("200 OK", options_.type, options_.page(), method == "GET");
}

}  // namespace

std::unique_ptr<PageServer> serve_page(PageServerOptions options) {
  return std::make_unique<Server>(std::move(options));
}

}  // namespace birkhoff
