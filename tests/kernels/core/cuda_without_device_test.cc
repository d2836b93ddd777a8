// A CUDA build must start without a driver and report that there is no device.
#include <gtest/gtest.h>

#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"

namespace birkhoff::test {
namespace {

TEST(CudaWithoutDevice, CountsDevicesWithoutFailing) { EXPECT_GE(cuda::device_count(), 0); }

TEST(CudaWithoutDevice, RefusesADeviceThatIsNotThere) {
  const Device absent{DeviceKind::cuda, cuda::device_count()};
  EXPECT_THROW(cuda::create_stream(absent), UserError);
  EXPECT_THROW(cuda::allocate(absent, 64), UserError);
}

}  // namespace
}  // namespace birkhoff::test
