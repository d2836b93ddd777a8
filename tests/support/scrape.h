#pragma once
#include <cstdint>
#include <string>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

namespace birkhoff::test {

// A client that connects to the loopback address, sends the given text and then nothing more.
class IdleClient {
 public:
  explicit IdleClient(int port, const std::string& request = "", uint32_t address = INADDR_LOOPBACK)
      : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(static_cast<uint16_t>(port));
    server.sin_addr.s_addr = htonl(address);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&server), sizeof server) == 0 &&
                 send(socket_, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size());
  }
  ~IdleClient() { close(socket_); }
  IdleClient(const IdleClient&) = delete;
  IdleClient& operator=(const IdleClient&) = delete;

  // Everything received until the server closes the connection; "" if nobody listens.
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

// The metrics as an HTTP client receives them from the loopback address; "" if nobody listens.
inline std::string scrape(int port, uint32_t address = INADDR_LOOPBACK) {
  return IdleClient(port, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", address).answer();
}

}  // namespace birkhoff::test
