#include "launch/last_words.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <poll.h>
#include <unistd.h>

namespace birkhoff {

void print_last_words(const std::string& text) {
  // A part this small never blocks once poll() has reported room.
  constexpr size_t kPart = 256;
  constexpr int kPatience_ms = 1000;
  for (size_t done = 0; done < text.size();) {
    pollfd room{STDERR_FILENO, POLLOUT, 0};
    const int ready = poll(&room, 1, kPatience_ms);
    if (ready < 0 && errno == EINTR) continue;  // interrupted by a stop signal
    if (ready != 1 || !(room.revents & POLLOUT)) return;
    const ssize_t written = write(STDERR_FILENO, text.data() + done, std::min(kPart, text.size() - done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    done += static_cast<size_t>(written);
  }
}

ProcessEnd process_end() {
  // _Exit() because destructors and exit handlers could wait for peers that never answer.
  return {.print = print_last_words, .leave = [](int exit_code) { std::_Exit(exit_code); }};
}

}  // namespace birkhoff
