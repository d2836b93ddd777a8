#pragma once
// Device memory, streams and copies. Always declared, but defined only in a CUDA build: callers are guarded by
// `if constexpr (kWithCuda)`, so a CPU build needs no stubs.
#include <cstddef>

#include "kernels/core/stream.h"

namespace birkhoff {

#ifdef BIRKHOFF_WITH_CUDA
inline constexpr bool kWithCuda = true;
#else
inline constexpr bool kWithCuda = false;
#endif

namespace cuda {

// Number of usable devices; 0 where there is no driver. Never throws.
int device_count() noexcept;
// Creates a stream of the device, owned by the caller. UserError if there is no such device.
Stream create_stream(Device device);
void destroy_stream(Stream& stream) noexcept;
void synchronize(Stream& stream);

// 256-byte aligned device memory. UserError with the sizes if the device does not have enough.
void* allocate(Device device, size_t bytes);
void release(Device device, void* data) noexcept;

// Copies in stream order; either side may be host or device memory.
void copy_bytes(Stream& stream, void* to, const void* from, size_t bytes);
void fill_zero(Stream& stream, void* to, size_t bytes);

}  // namespace cuda
}  // namespace birkhoff
