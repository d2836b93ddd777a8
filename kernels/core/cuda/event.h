#pragma once
// CUDA builds only.
#include "kernels/core/stream.h"

namespace birkhoff::cuda {

// A point in a stream's order of work.
class Event {
 public:
  explicit Event(Device device);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(Stream& stream);
  // Work that is given to the stream later runs after the recorded point. The host does not wait.
  void order_before(Stream& stream);
  // The host waits for the recorded point.
  void synchronize();
  double milliseconds_since(const Event& earlier) const;

 private:
  void* handle_ = nullptr;
};

}  // namespace birkhoff::cuda
