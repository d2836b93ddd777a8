#include "kernels/core/cuda/convert.h"
#include "kernels/core/cuda/kernel.cuh"

namespace birkhoff::cuda {
namespace {

template <class To, class From>
__global__ void convert_kernel(To* to, const From* from, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x;
  if (i < count) store(to + i, load(from + i));
}

template <class T>
__global__ void fill_kernel(T* to, float value, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x;
  if (i < count) store(to + i, value);
}

int64_t blocks_of(int64_t count) { return (count + kBlockThreads - 1) / kBlockThreads; }

}  // namespace

void convert(Stream& stream, Tensor to, Tensor from) {
  with_activation_type(to.dtype, [&]<class To>() {
    with_activation_type(from.dtype, [&]<class From>() {
      launch(stream, blocks_of(to.count()), convert_kernel<To, From>, data_of<To>(to),
             static_cast<const From*>(data_of<From>(from)), to.count());
    });
  });
}

void fill(Stream& stream, Tensor to, float value) {
  with_activation_type(to.dtype, [&]<class T>() {
    launch(stream, blocks_of(to.count()), fill_kernel<T>, data_of<T>(to), value, to.count());
  });
}

}  // namespace birkhoff::cuda
