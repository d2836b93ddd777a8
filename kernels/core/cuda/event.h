#pragma once
// CUDA builds only.
#include "kernels/core/stream.h"

namespace birkhoff::cuda {

// Marks a point in the work of a stream, like cudaEvent_t.
class Event {
 public:
  explicit Event(Device device);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(Stream& stream);
  // Makes all work submitted to `stream` after this call wait for the recorded point. Does not block the host.
  void order_before(Stream& stream);
  // Blocks the host until the work before the recorded point is done.
  void synchronize();
  double milliseconds_since(const Event& earlier) const;

 private:
  void* handle_ = nullptr;
};

}  // namespace birkhoff::cuda
