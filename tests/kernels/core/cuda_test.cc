#include "tests/support/cuda_test.h"

#include <numeric>
#include <vector>

#include "kernels/core/arena.h"
#include "kernels/core/cuda/event.h"
#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"

namespace birkhoff::test {
namespace {

class Cuda : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (!IsSkipped()) stream_ = cuda::create_stream({DeviceKind::cuda, 0});
  }
  void TearDown() override { cuda::destroy_stream(stream_); }
  Stream stream_;
};

TEST_F(Cuda, CopiesToTheDeviceAndBack) {
  Arena arena(stream_.device);
  const Tensor a = arena.take(DType::f32, {1000}), b = arena.take(DType::f32, {1000});
  std::vector<float> in(1000), out(1000);
  std::iota(in.begin(), in.end(), -3.5f);
  from_host(stream_, a, in.data());
  copy(stream_, b, a);
  to_host(stream_, out.data(), b);
  EXPECT_EQ(in, out);
}

TEST_F(Cuda, ConvertsAndFills) {
  Arena arena(stream_.device);
  const Tensor a = arena.take(DType::f32, {777}), half = arena.take(DType::bf16, {777});
  fill(stream_, a, 1.0 + 1.0 / 512);
  copy(stream_, half, a);
  copy(stream_, a, half);
  std::vector<float> out(777);
  to_host(stream_, out.data(), a);
  EXPECT_EQ(out, std::vector<float>(777, static_cast<float>(bfloat16(1.0f + 1.0f / 512))));
  fill_zero(stream_, a);
  to_host(stream_, out.data(), a);
  EXPECT_EQ(out, std::vector<float>(777, 0.0f));
}

TEST_F(Cuda, EventsOrderStreams) {
  Stream other = cuda::create_stream(stream_.device);
  Arena arena(stream_.device);
  const Tensor a = arena.take(DType::f32, {1 << 20}), b = arena.take(DType::f32, {1 << 20});
  cuda::Event begin(stream_.device), done(stream_.device);
  begin.record(stream_);
  fill(stream_, a, 7);
  done.record(stream_);
  done.order_before(other);
  copy(other, b, a);
  std::vector<float> out(1 << 20);
  to_host(other, out.data(), b);
  EXPECT_EQ(out.front(), 7.0f);
  EXPECT_EQ(out.back(), 7.0f);
  done.synchronize();
  EXPECT_GE(done.milliseconds_since(begin), 0);
  cuda::destroy_stream(other);
}

}  // namespace
}  // namespace birkhoff::test
