#pragma once
// Shared by the CUDA kernels. For .cu files only.
#include <cstdint>

#include <cuda_bf16.h>

#include "kernels/core/cuda/check.h"
#include "kernels/core/error.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff::cuda {

inline constexpr int kBlockThreads = 256;

inline cudaStream_t handle_of(const Stream& stream) { return static_cast<cudaStream_t>(stream.handle); }

// Makes the stream's device current and launches kernel(args...) on `blocks` blocks of kBlockThreads.
template <class... Params, class... Args>
void launch(Stream& stream, int64_t blocks, void (*kernel)(Params...), Args... args) {
  if (blocks == 0) return;
  check(cudaSetDevice(stream.device.index));
  kernel<<<static_cast<unsigned>(blocks), kBlockThreads, 0, handle_of(stream)>>>(args...);
  check(cudaGetLastError());
}

// Calls body.operator()<T>() with the device's type for an activation: float or __nv_bfloat16.
template <class Body>
void with_activation_type(DType dtype, Body body) {
  if (dtype == DType::bf16) return body.template operator()<__nv_bfloat16>();
  BK_CHECK(dtype == DType::f32, "an activation on the cuda device is f32 or bf16, not ", dtype);
  body.template operator()<float>();
}
template <class T>
T* data_of(Tensor t) {
  return static_cast<T*>(t.data);
}

__device__ inline float load(const float* p) { return *p; }
__device__ inline float load(const __nv_bfloat16* p) { return __bfloat162float(*p); }
__device__ inline void store(float* p, float v) { *p = v; }
__device__ inline void store(__nv_bfloat16* p, float v) { *p = __float2bfloat16(v); }

// Returns the sum over the block to every thread, added in a fixed order. The second barrier lets the next call reuse
// `warps`.
__device__ inline float block_sum(float value) {
  __shared__ float warps[kBlockThreads / 32];
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < kBlockThreads / 32; ++w) sum += warps[w];
  __syncthreads();
  return sum;
}

// Device memory for the elements of one call, allocated and freed in stream order.
template <class T>
class DeviceScratch {
 public:
  DeviceScratch(Stream& stream, int64_t count) : stream_(stream) {
    if (count == 0) return;
    check(cudaSetDevice(stream.device.index));
    check(cudaMallocAsync(&data_, static_cast<size_t>(count) * sizeof(T), handle_of(stream)));
  }
  ~DeviceScratch() {
    if (data_) cudaFreeAsync(data_, handle_of(stream_));
  }
  DeviceScratch(const DeviceScratch&) = delete;
  DeviceScratch& operator=(const DeviceScratch&) = delete;
  T* data() { return static_cast<T*>(data_); }

 private:
  Stream& stream_;
  void* data_ = nullptr;
};

}  // namespace birkhoff::cuda
