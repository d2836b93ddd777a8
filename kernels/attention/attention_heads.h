#pragma once
#include "kernels/attention/attention_mask.h"
#include "kernels/attention/attention_tiles.h"

namespace birkhoff::cpu {

// Head h of a tensor [rows, heads, width]; P is T or const T.
template <class P, class T>
HeadView<P> head_view(Tensor x, int64_t h) {
  return {x.as<T>() + h * x.shape[2], x.shape[1] * x.shape[2]};
}

// Query head h, with its key head, of AttentionArgs or AttentionBackwardArgs.
template <class T, class Args>
AttentionHead<T> attention_head(const Args& a, int64_t h) {
  const int64_t H = a.q.shape[1], g = h / (H / a.k.shape[1]);
  const KeyRanges ranges(a.mask);
  return {head_view<const T, T>(a.q, h),
          head_view<const T, T>(a.k, g),
          head_view<const T, T>(a.v, g),
          {a.lse.f32() + h, H},
          ranges.begin(),
          ranges.end(),
          a.q.shape[2],
          a.v.shape[2],
          static_cast<float>(a.scale)};
}

}  // namespace birkhoff::cpu
