#include "kernels/core/cuda/check.h"
#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"

namespace birkhoff::cuda {
namespace {

cudaStream_t handle_of(const Stream& stream) { return static_cast<cudaStream_t>(stream.handle); }

}  // namespace

void check(cudaError_t code, const char* file, int line) {
  if (code != cudaSuccess) throw_bug(cudaGetErrorName(code), cudaGetErrorString(code), file, line);
}

void check(cublasStatus_t code, const char* file, int line) {
  if (code != CUBLAS_STATUS_SUCCESS) throw_bug(cublasLtGetStatusName(code), cublasLtGetStatusString(code), file, line);
}

int device_count() noexcept {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

Stream create_stream(Device device) {
  const int count = device_count();
  BK_CHECK(device.index >= 0 && device.index < count, "CUDA device ", device.index, " was asked for, but there are ",
           count, "; run on the cpu device, or check the driver with nvidia-smi");
  check(cudaSetDevice(device.index));
  cudaStream_t handle;
  // Non-blocking: the stream does not synchronize with the default stream.
  check(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking));
  return {device, handle};
}

void destroy_stream(Stream& stream) noexcept {
  if (stream.handle) cudaStreamDestroy(handle_of(stream));
  stream.handle = nullptr;
}

void synchronize(Stream& stream) { check(cudaStreamSynchronize(handle_of(stream))); }

void* allocate(Device device, size_t bytes) {
  BK_CHECK(device.index < device_count(), "CUDA device ", device.index, " was asked for, but there are ",
           device_count());
  check(cudaSetDevice(device.index));
  void* data = nullptr;
  if (const cudaError_t code = cudaMalloc(&data, bytes); code == cudaErrorMemoryAllocation) {
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw UserError(concat("CUDA device ", device.index, " has not enough memory: ", bytes, " bytes were asked for, ",
                           free, " of ", total, " are free"));
  } else {
    check(code);
  }
  return data;
}

void release(Device device, void* data) noexcept {
  cudaSetDevice(device.index);
  cudaFree(data);
}

void copy_bytes(Stream& stream, void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, handle_of(stream)));
}

void fill_zero(Stream& stream, void* to, size_t bytes) { check(cudaMemsetAsync(to, 0, bytes, handle_of(stream))); }

}  // namespace birkhoff::cuda
