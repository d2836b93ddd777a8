// One block per token. The token's coefficients lie in shared memory. Each thread owns every 256th channel and holds
// all streams of a channel in registers, so the streams are read once and written once, and outputs may alias them.
// Bound by memory bandwidth.
#include "kernels/core/cuda/kernel.cuh"
#include "kernels/hyper/write_mix.h"

namespace birkhoff::cuda {
namespace {

// S is a template argument so that the streams of a channel stay in registers.
template <int S, class T>
__global__ void forward_kernel(T* x_next, const T* x, const T* y, const float* post, const float* comb, int64_t C) {
  __shared__ float weights[S + S * S];
  const int64_t t = blockIdx.x;
  for (int k = threadIdx.x; k < S + S * S; k += kBlockThreads) {
    weights[k] = k < S ? post[t * S + k] : comb[t * S * S + k - S];
  }
  __syncthreads();
  x += t * S * C, x_next += t * S * C, y += t * C;
  for (int64_t c = threadIdx.x; c < C; c += kBlockThreads) {
    float in[S];
    for (int i = 0; i < S; ++i) in[i] = load(x + i * C + c);
    const float written = load(y + c);
    for (int j = 0; j < S; ++j) {
      float sum = weights[j] * written;
      for (int i = 0; i < S; ++i) sum += weights[S + i * S + j] * in[i];
      store(x_next + j * C + c, sum);
    }
  }
}

template <class T>
struct Gradients {
  T *dx, *dy;
  float *dpost, *dcomb;
};
template <class T>
struct Inputs {
  const T *dx_next, *x, *y;
  const float *post, *comb;
};

template <int S, class T>
__global__ void backward_kernel(Gradients<T> out, Inputs<T> in, int64_t C) {
  __shared__ float weights[S + S * S];
  const int64_t t = blockIdx.x;
  for (int k = threadIdx.x; k < S + S * S; k += kBlockThreads) {
    weights[k] = k < S ? in.post[t * S + k] : in.comb[t * S * S + k - S];
  }
  __syncthreads();
  float dots[S + S * S] = {};  // dpost, then dcomb
  for (int64_t c = threadIdx.x; c < C; c += kBlockThreads) {
    float g[S], dy = 0;
    const float written = load(in.y + t * C + c);
    for (int j = 0; j < S; ++j) {
      g[j] = load(in.dx_next + (t * S + j) * C + c);
      dy += weights[j] * g[j];
      dots[j] += g[j] * written;
    }
    store(out.dy + t * C + c, dy);
    for (int i = 0; i < S; ++i) {
      const float value = load(in.x + (t * S + i) * C + c);
      float dx = 0;
      for (int j = 0; j < S; ++j) {
        dx += weights[S + i * S + j] * g[j];
        dots[S + i * S + j] += value * g[j];
      }
      store(out.dx + (t * S + i) * C + c, dx);
    }
  }
  for (int k = 0; k < S + S * S; ++k) {
    const float total = block_sum(dots[k]);
    if (threadIdx.x == 0) (k < S ? out.dpost[t * S + k] : out.dcomb[t * S * S + k - S]) = total;
  }
}

// Calls body.operator()<S>() if there is a kernel for S streams.
template <class Body>
void with_streams(int64_t S, Body body) {
  switch (S) {
    case 1:
      return body.template operator()<1>();
    case 2:
      return body.template operator()<2>();
    case 4:
      return body.template operator()<4>();
    case 8:
      return body.template operator()<8>();
    default:
      throw UserError(concat("hyper_write_mix on the cuda device: ", S, " streams, expected 1, 2, 4 or 8"));
  }
}

}  // namespace

void hyper_write_mix_forward(Stream& stream, const HyperWriteMixArgs& a) {
  const int64_t T = a.x.shape[0], C = a.x.shape[2];
  with_activation_type(a.x.dtype, [&]<class E>() {
    with_streams(a.x.shape[1], [&]<int S>() {
      launch(stream, T, forward_kernel<S, E>, data_of<E>(a.x_next), static_cast<const E*>(data_of<E>(a.x)),
             static_cast<const E*>(data_of<E>(a.y)), static_cast<const float*>(data_of<float>(a.post)),
             static_cast<const float*>(data_of<float>(a.comb)), C);
    });
  });
}

void hyper_write_mix_backward(Stream& stream, const HyperWriteMixBackwardArgs& a) {
  const int64_t T = a.x.shape[0], C = a.x.shape[2];
  with_activation_type(a.x.dtype, [&]<class E>() {
    with_streams(a.x.shape[1], [&]<int S>() {
      const Gradients<E> out{data_of<E>(a.dx), data_of<E>(a.dy), data_of<float>(a.dpost), data_of<float>(a.dcomb)};
      const Inputs<E> in{data_of<E>(a.dx_next), data_of<E>(a.x), data_of<E>(a.y), data_of<float>(a.post),
                         data_of<float>(a.comb)};
      launch(stream, T, backward_kernel<S, E>, out, in, C);
    });
  });
}

}  // namespace birkhoff::cuda
