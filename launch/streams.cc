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
    // open() takes the lowest free number, which is this one. The stream is opened in the wrong direction, so that
    // using it is an error.
    if (open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) return;
  }
}

void check_standard_streams() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) || !std::cout) {
    // The write may have failed long ago, and errno may have been overwritten since. Write one more line to learn the
    // reason.
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
