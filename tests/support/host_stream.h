#pragma once
#include "kernels/core/stream.h"

namespace birkhoff {

// A host stream for tensors that a test keeps in vectors.
inline Stream& host_stream() {
  static thread_local Stream stream;
  return stream;
}

}  // namespace birkhoff
