#pragma once
#include <cstdint>
#include <string>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

namespace birkhoff::test {

// What an HTTP client sees of the metrics on the loopback address; "" where nobody listens.
inline std::string scrape(int port, uint32_t address = INADDR_LOOPBACK) {
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(static_cast<uint16_t>(port));
  server.sin_addr.s_addr = htonl(address);
  std::string answer;
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (connect(client, reinterpret_cast<sockaddr*>(&server), sizeof server) == 0 &&
      send(client, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size())) {
    char part[4096];
    for (ssize_t bytes; (bytes = recv(client, part, sizeof part, 0)) > 0;)
      answer.append(part, static_cast<size_t>(bytes));
  }
  close(client);
  return answer;
}

}  // namespace birkhoff::test
