#pragma once
// Wrappers around the system calls that write files, so that tests can make them fail. A test that links
// tests/support/injected_calls.cc gets the definitions there instead of those in system_calls.cc. The program itself
// has no such hook.
#include <cstddef>

#include <sys/types.h>

namespace birkhoff {

ssize_t system_pwrite(int fd, const void* data, size_t bytes, off_t offset);
int system_fsync(int fd);
off_t system_lseek(int fd, off_t offset, int whence);

}  // namespace birkhoff
