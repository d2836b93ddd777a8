#include "kernels/core/stream.h"

#include "kernels/core/cuda_memory.h"

namespace birkhoff {

void synchronize(Stream& stream) {
  if constexpr (kWithCuda) {
    if (stream.device.kind == DeviceKind::cuda) cuda::synchronize(stream);
  }
}

}  // namespace birkhoff
