#include "data/hdf5/system_calls.h"

#include <unistd.h>

namespace birkhoff {

ssize_t system_pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  return ::pwrite(fd, data, bytes, offset);
}
int system_fsync(int fd) { return ::fsync(fd); }
off_t system_lseek(int fd, off_t offset, int whence) { return ::lseek(fd, offset, whence); }

}  // namespace birkhoff
