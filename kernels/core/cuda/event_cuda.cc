#include "kernels/core/cuda/check.h"
#include "kernels/core/cuda/event.h"

namespace birkhoff::cuda {
namespace {
cudaEvent_t event_of(void* handle) { return static_cast<cudaEvent_t>(handle); }
cudaStream_t stream_of(Stream& stream) { return static_cast<cudaStream_t>(stream.handle); }
}  // namespace

Event::Event(Device device) {
  check(cudaSetDevice(device.index));
  cudaEvent_t event;
  check(cudaEventCreate(&event));
  handle_ = event;
}
Event::~Event() { cudaEventDestroy(event_of(handle_)); }

void Event::record(Stream& stream) { check(cudaEventRecord(event_of(handle_), stream_of(stream))); }
void Event::order_before(Stream& stream) { check(cudaStreamWaitEvent(stream_of(stream), event_of(handle_), 0)); }
void Event::synchronize() { check(cudaEventSynchronize(event_of(handle_))); }

double Event::milliseconds_since(const Event& earlier) const {
  float ms = 0;
  check(cudaEventElapsedTime(&ms, event_of(earlier.handle_), event_of(handle_)));
  return ms;
}

}  // namespace birkhoff::cuda
