#include "tests/support/injected_calls.h"

#include <atomic>

#include <unistd.h>

#include "data/hdf5/system_calls.h"

namespace birkhoff {
namespace {

std::atomic<PwriteFn> pwrite_fn{::pwrite};
std::atomic<FsyncFn> fsync_fn{::fsync};
std::atomic<LseekFn> lseek_fn{::lseek};

}  // namespace

void inject_pwrite(PwriteFn fn) { pwrite_fn = fn != nullptr ? fn : ::pwrite; }
void inject_fsync(FsyncFn fn) { fsync_fn = fn != nullptr ? fn : ::fsync; }
void inject_lseek(LseekFn fn) { lseek_fn = fn != nullptr ? fn : ::lseek; }

ssize_t system_pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  return pwrite_fn.load()(fd, data, bytes, offset);
}
int system_fsync(int fd) { return fsync_fn.load()(fd); }
off_t system_lseek(int fd, off_t offset, int whence) { return lseek_fn.load()(fd, offset, whence); }

}  // namespace birkhoff
