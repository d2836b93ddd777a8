#include <algorithm>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_simd.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"

namespace birkhoff::cpu {
namespace {

template <class T>
AttentionKernels<T> kernels() {
  static const auto kernels = on_best_isa([]<Isa isa>() { return attention_kernels<isa, T>(); });
  return kernels;
}

// Head h of a tensor [T, H, D].
template <class P, class T>
HeadView<P> view(Tensor x, int64_t h) {
  return {x.as<T>() + h * x.shape[2], x.shape[1] * x.shape[2]};
}

template <class T, class Args>
AttentionHead<T> head_of(const Args& a, int64_t h) {
  const int64_t H = a.q.shape[1], g = h / (H / a.k.shape[1]);
  return {view<const T, T>(a.q, h),
          view<const T, T>(a.k, g),
          view<const T, T>(a.v, g),
          {a.lse.f32() + h, H},
          a.document_start.template as<int32_t>(),
          a.q.shape[2],
          a.v.shape[2],
          a.scale};
}

// Splits [0, T) between documents, small ones together, so that nothing crosses a split. Depends on the documents
// alone.
std::vector<int64_t> document_splits(Tensor document_start) {
  const int64_t T = document_start.count();
  const int32_t* start = document_start.as<int32_t>();
  std::vector<int64_t> splits{0};
  for (int64_t t = 1; t < T; ++t) {
    if (start[t] == t && t - splits.back() >= kAttentionBlock) splits.push_back(t);
  }
  if (T > 0) splits.push_back(T);
  return splits;
}

template <class T>
void write_rows(Tensor to, int64_t h, int64_t begin, int64_t end, const float* from) {
  const auto head = view<T, T>(to, h);
  const int64_t dim = to.shape[2], padded = attention_padded(dim);
  for (int64_t t = begin; t < end; ++t, from += padded) {
    for (int64_t d = 0; d < dim; ++d) head.row(t)[d] = static_cast<T>(from[d]);
  }
}

// The heads that share key head g, one after the other: their sums into dk and dv have one order.
template <class T>
void backward_range(const AttentionBackwardArgs& a, int64_t g, int64_t begin, int64_t end) {
  const int64_t D = a.q.shape[2], V = a.v.shape[2], group = a.q.shape[1] / a.k.shape[1];
  const int64_t rows = attention_padded_rows(end - begin);
  Scratch<float> dk(rows * attention_padded(D), 0.0f), dv(rows * attention_padded(V), 0.0f);
  Scratch<float> scratch(attention_backward_scratch(D, V, end - begin));
  for (int64_t h = g * group; h < (g + 1) * group; ++h) {
    kernels<T>().backward(head_of<T>(a, h), {view<T, T>(a.dq, h), view<const T, T>(a.o, h), view<const T, T>(a.d_o, h)},
                          dk.data(), dv.data(), begin, end, scratch.data());
  }
  write_rows<T>(a.dk, g, begin, end, dk.data());
  write_rows<T>(a.dv, g, begin, end, dv.data());
}

}  // namespace

void attention_forward(const AttentionArgs& a) {
  const int64_t T = a.q.shape[0], blocks = (T + kAttentionBlock - 1) / kAttentionBlock;
  with_activation_type(a.q.dtype, [&]<class E>() {
    parallel_for(a.q.shape[1] * blocks, 1, [&](int64_t first, int64_t last) {
      Scratch<float> scratch(attention_forward_scratch(a.q.shape[2], a.v.shape[2]));
      for (int64_t i = first; i < last; ++i) {
        const int64_t h = i / blocks, begin = i % blocks * kAttentionBlock;
        kernels<E>().forward(head_of<E>(a, h), view<E, E>(a.o, h), begin, std::min(begin + kAttentionBlock, T),
                             scratch.data());
      }
    });
  });
}

void attention_backward(const AttentionBackwardArgs& a) {
  const std::vector<int64_t> splits = document_splits(a.document_start);
  const int64_t ranges = static_cast<int64_t>(splits.size()) - 1;
  with_activation_type(a.q.dtype, [&]<class E>() {
    parallel_for(a.k.shape[1] * ranges, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const size_t range = static_cast<size_t>(i % ranges);
        backward_range<E>(a, i / ranges, splits[range], splits[range + 1]);
      }
    });
  });
}

}  // namespace birkhoff::cpu
