#pragma once
#include <string_view>

#include "kernels/core/device.h"

namespace birkhoff {

// Sees every op that a stream runs, on every device: profilers time them, the meta device counts their work.
class OpObserver {
 public:
  virtual ~OpObserver() = default;
  virtual void begin(std::string_view op) = 0;
  virtual void end() = 0;
  // Adds floating-point operations; a multiply-add counts as two. The matrix and attention ops call this between begin
  // and end.
  virtual void flops(double count) = 0;
};

// A queue of work on a device, which runs it in order. Must not be shared between threads.
struct Stream {
  Device device;
  void* handle = nullptr;  // cudaStream_t on cuda
  OpObserver* observer = nullptr;

  void count_flops(double count) const {
    if (observer) observer->flops(count);
  }
};

// Waits until all work given to the stream is done.
void synchronize(Stream& stream);

}  // namespace birkhoff
