// The forward uses one block per row. The backward uses one block per kRowsPerPart rows, so that the partial sums of
// dgain and their order do not depend on the device.
#include "kernels/core/cuda/kernel.cuh"
#include "kernels/core/cuda_memory.h"
#include "kernels/norm/rmsnorm.h"

namespace birkhoff::cuda {
namespace {

constexpr int64_t kRowsPerPart = 64;

template <class T>
__global__ void forward_kernel(T* y, float* rstd, const T* x, const float* gain, int64_t C, float eps) {
  const int64_t row = blockIdx.x;
  x += row * C;
  y += row * C;
  float sum = 0;
  for (int64_t c = threadIdx.x; c < C; c += kBlockThreads) sum += load(x + c) * load(x + c);
  const float r = 1.0f / sqrtf(block_sum(sum) / static_cast<float>(C) + eps);
  for (int64_t c = threadIdx.x; c < C; c += kBlockThreads) store(y + c, load(x + c) * r * (gain ? gain[c] : 1.0f));
  if (threadIdx.x == 0) rstd[row] = r;
}

struct Rows {
  int64_t T, C;
};

// partial [parts, C] is zero on entry. Each thread owns its columns, so no atomics are needed.
template <class T>
__global__ void backward_kernel(T* dx, float* partial, const T* dy, const T* x, const float* gain, const float* rstd,
                                Rows size) {
  const int64_t C = size.C, first = int64_t{blockIdx.x} * kRowsPerPart;
  for (int64_t row = first; row < min(size.T, first + kRowsPerPart); ++row) {
    float dot = 0;
    for (int64_t c = threadIdx.x; c < C; c += kBlockThreads) {
      dot += load(dy + row * C + c) * (gain ? gain[c] : 1.0f) * load(x + row * C + c);
    }
    const float r = rstd[row], k = block_sum(dot) * r * r / static_cast<float>(C);
    for (int64_t c = threadIdx.x; c < C; c += kBlockThreads) {
      const float g = load(dy + row * C + c), v = load(x + row * C + c);
      if (gain) partial[blockIdx.x * C + c] += g * v * r;
      store(dx + row * C + c, r * (g * (gain ? gain[c] : 1.0f) - v * k));
    }
  }
}

__global__ void sum_parts_kernel(float* dgain, const float* partial, int64_t parts, int64_t C) {
  const int64_t c = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x;
  if (c >= C) return;
  float sum = dgain[c];
  for (int64_t p = 0; p < parts; ++p) sum += partial[p * C + c];
  dgain[c] = sum;
}

}  // namespace

void rmsnorm_forward(Stream& stream, const RmsNormArgs& a) {
  const float* gain = a.gain.present() ? data_of<float>(a.gain) : nullptr;
  with_activation_type(a.x.dtype, [&]<class T>() {
    launch(stream, a.x.shape.rows(), forward_kernel<T>, data_of<T>(a.y), data_of<float>(a.rstd),
           static_cast<const T*>(data_of<T>(a.x)), gain, a.x.shape.back(), static_cast<float>(a.eps));
  });
}

void rmsnorm_backward(Stream& stream, const RmsNormBackwardArgs& a) {
  const Rows size{a.x.shape.rows(), a.x.shape.back()};
  const float* gain = a.gain.present() ? data_of<float>(a.gain) : nullptr;
  const int64_t parts = (size.T + kRowsPerPart - 1) / kRowsPerPart;
  DeviceScratch<float> partial(stream, gain ? parts * size.C : 0);
  if (partial.data()) fill_zero(stream, partial.data(), static_cast<size_t>(parts * size.C) * sizeof(float));
  with_activation_type(a.x.dtype, [&]<class T>() {
    launch(stream, parts, backward_kernel<T>, data_of<T>(a.dx), partial.data(), static_cast<const T*>(data_of<T>(a.dy)),
           static_cast<const T*>(data_of<T>(a.x)), gain, static_cast<const float*>(data_of<float>(a.rstd)), size);
  });
  if (gain) {
    launch(stream, (size.C + kBlockThreads - 1) / kBlockThreads, sum_parts_kernel, data_of<float>(a.dgain),
           static_cast<const float*>(partial.data()), parts, size.C);
  }
}

}  // namespace birkhoff::cuda
