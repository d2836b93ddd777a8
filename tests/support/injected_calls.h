#pragma once
// Replaces the system calls behind data/hdf5/system_calls.h. nullptr restores the real call.
#include <sys/types.h>

namespace birkhoff {

using PwriteFn = ssize_t (*)(int fd, const void* data, size_t bytes, off_t offset);
using FsyncFn = int (*)(int fd);
using LseekFn = off_t (*)(int fd, off_t offset, int whence);
void inject_pwrite(PwriteFn fn);
void inject_fsync(FsyncFn fn);
void inject_lseek(LseekFn fn);

}  // namespace birkhoff
