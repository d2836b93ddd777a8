#pragma once
#include <cstdint>
#include <string>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

namespace birkhoff::test {

// A client of the loopback address that has said so much and no more.
class IdleClient {
 public:
  explicit IdleClient(int port, const std::string& said = "", uint32_t address = INADDR_LOOPBACK)
      : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(static_cast<uint16_t>(port));
    server.sin_addr.s_addr = htonl(address);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&server), sizeof server) == 0 &&
                 send(socket_, said.data(), said.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(said.size());
  }
  ~IdleClient() { close(socket_); }
  IdleClient(const IdleClient&) = delete;
  IdleClient& operator=(const IdleClient&) = delete;

  // All that comes until the server closes; "" where nobody listens.
  std::string answer() const {
    std::string answer;
    char part[4096];
    for (ssize_t bytes; connected_ && (bytes = recv(socket_, part, sizeof part, 0)) > 0;)
      answer.append(part, static_cast<size_t>(bytes));
    return answer;
  }

 private:
  int socket_;
  bool connected_ = false;
};

// What an HTTP client sees of the metrics on the loopback address; "" where nobody listens.
inline std::string scrape(int port, uint32_t address = INADDR_LOOPBACK) {
  return IdleClient(port, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", address).answer();
}

}  // namespace birkhoff::test
