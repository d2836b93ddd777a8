#include <algorithm>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_simd.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/product_isa.h"
#include "kernels/core/cpu/scratch.h"

namespace birkhoff::cpu {
namespace {

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
          static_cast<float>(a.scale)};
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

// Backward of one key head over the tokens [begin, end), whole documents. The triangle of (queries, keys) is cut into
// blocks; those of one diagonal share neither queries nor keys, so they may run at once.
template <class T>
class RangeBackward {
 public:
  RangeBackward(const AttentionBackwardArgs& a, int64_t g, int64_t begin, int64_t end)
      : a_(a),
        g_(g),
        begin_(begin),
        end_(end),
        scale_(static_cast<float>(a.scale)),
        D_(a.q.shape[2]),
        V_(a.v.shape[2]),
        tiles_(attention_tiles(end - begin)),
        keys_(tiles_ * attention_key_tile(D_, V_)),
        queries_(tiles_ * attention_query_tile(D_, V_)),
        dk_(tiles_ * kAttentionTile * attention_padded(D_), 0.0f),
        dv_(tiles_ * kAttentionTile * attention_padded(V_), 0.0f) {}

  void run() {
    const int64_t group = a_.q.shape[1] / a_.k.shape[1];
    for_tiles([&](int64_t i) { kernels().pack_keys(keys(i), head_of<T>(a_, g_ * group), first(i), count(i)); });
    // The heads that share the key head, one after the other: their sums into dk and dv have one order.
    for (int64_t h = g_ * group; h < (g_ + 1) * group; ++h) {
      pack_queries(h);
      add_blocks();
      write_queries(h);
    }
    for_tiles([&](int64_t i) {
      kernels().write_rows(view<T, T>(a_.dk, g_), first(i), count(i), D_, dk(i), scale_);
      kernels().write_rows(view<T, T>(a_.dv, g_), first(i), count(i), V_, dv(i), 1);
    });
  }

 private:
  // Tiles along the side of a block.
  static constexpr int64_t kBlock = 2;

  static const AttentionBackward<T>& kernels() {
    static const auto kernels = on_best_product_isa([]<Isa isa>() { return attention_backward_pieces<isa, T>(); });
    return kernels;
  }
  int64_t first(int64_t tile) const { return begin_ + tile * kAttentionTile; }
  int64_t count(int64_t tile) const { return std::min(end_ - first(tile), kAttentionTile); }
  float* keys(int64_t tile) { return keys_.data() + tile * attention_key_tile(D_, V_); }
  float* queries(int64_t tile) { return queries_.data() + tile * attention_query_tile(D_, V_); }
  float* dk(int64_t tile) { return dk_.data() + tile * kAttentionTile * attention_padded(D_); }
  float* dv(int64_t tile) { return dv_.data() + tile * kAttentionTile * attention_padded(V_); }

  template <class Body>
  void for_tiles(Body body) {
    parallel_for(tiles_, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) body(i);
    });
  }

  void pack_queries(int64_t h) {
    const AttentionGradients<T> gradients{view<T, T>(a_.dq, h), view<const T, T>(a_.o, h), view<const T, T>(a_.d_o, h)};
    for_tiles([&](int64_t i) { kernels().pack_queries(queries(i), head_of<T>(a_, h), gradients, first(i), count(i)); });
  }

  void write_queries(int64_t h) {
    for_tiles([&](int64_t i) {
      Scratch<float> scratch(attention_pair_scratch(D_));
      kernels().write_queries(view<T, T>(a_.dq, h), first(i), count(i), D_, queries(i), scale_, scratch.data());
    });
  }

  // A query's gradient is summed over keys descending, a key's over queries ascending. One thread goes by columns,
  // where the keys stay in the cache, several by diagonals.
  void add_blocks() {
    const int64_t blocks = (tiles_ + kBlock - 1) / kBlock;
    if (num_threads() == 1) {
      for (int64_t j = blocks - 1; j >= 0; --j) {
        for (int64_t i = j; i < blocks; ++i) add_block(i, j);
      }
      return;
    }
    for (int64_t r = 0; r < blocks; ++r) {
      parallel_for(blocks - r, 1, [&](int64_t from, int64_t to) {
        for (int64_t j = from; j < to; ++j) add_block(j + r, j);
      });
    }
  }

  // Queries of block I with keys of block J <= I.
  void add_block(int64_t I, int64_t J) {
    Scratch<float> scratch(attention_pair_scratch(D_));
    for (int64_t j = J * kBlock; j < std::min((J + 1) * kBlock, tiles_); ++j) {
      for (int64_t i = std::max(I * kBlock, j); i < std::min((I + 1) * kBlock, tiles_); ++i) {
        kernels().add_pair({queries(i), dk(j), dv(j), scratch.data(), keys(j), count(i), first(j), D_, V_, scale_});
      }
    }
  }

  const AttentionBackwardArgs& a_;
  int64_t g_, begin_, end_;
  float scale_;
  int64_t D_, V_, tiles_;
  Scratch<float> keys_, queries_, dk_, dv_;
};

// Forward of the query heads of some key heads, whose keys are packed once.
template <class T>
class HeadsForward {
 public:
  HeadsForward(const AttentionArgs& a, int64_t key_heads)
      : a_(a),
        T_(a.q.shape[0]),
        tile_(attention_forward_tile(a.q.shape[2], a.v.shape[2])),
        keys_(key_heads * attention_tiles(T_) * tile_) {}

  void run(int64_t g, int64_t key_heads) {
    const int64_t tiles = attention_tiles(T_), group = a_.q.shape[1] / a_.k.shape[1], blocks = blocks_of(T_);
    parallel_for(key_heads * tiles, 4, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) pack(g + i / tiles, i % tiles, keys_.data() + i * tile_);
    });
    parallel_for(key_heads * group * blocks, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        const int64_t h = i / blocks, n = i % blocks;
        // Early queries see few keys: blocks alternate between both ends, so that any run of them is about as long.
        attend(g * group + h, n % 2 == 0 ? n / 2 : blocks - 1 - n / 2, keys_.data() + h / group * tiles * tile_);
      }
    });
  }
  static int64_t blocks_of(int64_t tokens) { return (tokens + kAttentionBlock - 1) / kAttentionBlock; }

 private:
  static const AttentionForward<T>& kernels() {
    static const auto kernels = on_best_product_isa([]<Isa isa>() { return attention_forward_pieces<isa, T>(); });
    return kernels;
  }
  Scratch<float> scratch() const { return Scratch<float>(attention_forward_scratch(a_.q.shape[2], a_.v.shape[2])); }

  void pack(int64_t g, int64_t i, float* tile) const {
    auto work = scratch();
    const int64_t begin = i * kAttentionTile, group = a_.q.shape[1] / a_.k.shape[1];
    kernels().pack(tile, head_of<T>(a_, g * group), begin, std::min(kAttentionTile, T_ - begin), work.data());
  }
  void attend(int64_t h, int64_t block, const float* keys) const {
    auto work = scratch();
    const int64_t begin = block * kAttentionBlock;
    kernels().attend(head_of<T>(a_, h), view<T, T>(a_.o, h), keys, begin, std::min(begin + kAttentionBlock, T_),
                     work.data());
  }

  const AttentionArgs& a_;
  int64_t T_, tile_;
  Scratch<float> keys_;
};

}  // namespace

void attention_forward(const AttentionArgs& a) {
  const int64_t H = a.q.shape[1], Hkv = a.k.shape[1];
  with_activation_type(a.q.dtype, [&]<class E>() {
    // No more key heads at once than keep the threads busy.
    const int64_t blocks = std::max<int64_t>(HeadsForward<E>::blocks_of(a.q.shape[0]) * (H / Hkv), 1);
    const int64_t at_once = std::min((4 * num_threads() + blocks - 1) / blocks, Hkv);
    HeadsForward<E> forward(a, at_once);
    for (int64_t g = 0; g < Hkv; g += at_once) forward.run(g, std::min(at_once, Hkv - g));
  });
}

void attention_backward(const AttentionBackwardArgs& a) {
  const std::vector<int64_t> splits = document_splits(a.document_start);
  const int64_t ranges = static_cast<int64_t>(splits.size()) - 1, count = a.k.shape[1] * ranges;
  with_activation_type(a.q.dtype, [&]<class E>() {
    auto run = [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const size_t range = static_cast<size_t>(i % ranges);
        RangeBackward<E>(a, i / ranges, splits[range], splits[range + 1]).run();
      }
    };
    // A thread takes whole ranges; all threads together take those that are left over, if these would keep few busy.
    const int64_t left = count % num_threads(), shared = 2 * left > num_threads() ? 0 : left;
    parallel_for(count - shared, 1, run);
    run(count - shared, count);
  });
}

}  // namespace birkhoff::cpu
