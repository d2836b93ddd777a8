#include "launch/streams.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include <fcntl.h>
#include <unistd.h>

#include "kernels/core/error.h"

namespace birkhoff {

void reserve_standard_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest free number is this one. Opened the wrong way round: its use is an error.
    if (open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) return;
  }
}

void check_standard_streams() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) || !std::cout) {
    // What was refused may be long ago, and with it the reason: it is asked for by one more line.
    if (errno == 0 && write(STDOUT_FILENO, "\n", 1) == 1) errno = EIO;
    throw UserError(concat("standard output cannot be written: ", std::strerror(errno),
                           "; what this command prints is incomplete"));
  }
  if (!std::ferror(stdin)) return;
  char none = 0;
  const int read_error = read(STDIN_FILENO, &none, 0) < 0 ? errno : EIO;
  throw UserError(concat("standard input cannot be read: ", std::strerror(read_error)));
}

}  // namespace birkhoff
