#include <algorithm>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_heads.h"
#include "kernels/attention/attention_simd.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/product_isa.h"
#include "kernels/core/cpu/scratch.h"

namespace birkhoff::cpu {
namespace {

// Where a part of the queries and keys begins.
struct Place {
  int64_t query, key;
};

// Cuts queries and keys into parts, small ones together, so that no query sees a key of another part: of causal
// documents, whole documents. Depends on the ranges alone. Keys that no query sees lie in the part that ends there.
std::vector<Place> cut(const KeyRanges& ranges, int64_t queries, int64_t keys) {
  // The first key that query t or a later one sees.
  std::vector<int64_t> first(static_cast<size_t>(queries) + 1, keys);
  for (int64_t t = queries - 1; t >= 0; --t) {
    const size_t i = static_cast<size_t>(t);
    first[i] = ranges[t].empty() ? first[i + 1] : std::min(first[i + 1], ranges[t].begin);
  }
  std::vector<Place> places{{0, 0}};
  int64_t seen = 0;  // the end of all that queries before t see
  for (int64_t t = 1; t < queries; ++t) {
    if (!ranges[t - 1].empty()) seen = std::max(seen, ranges[t - 1].end);
    const Place next{t, first[static_cast<size_t>(t)]}, last = places.back();
    const int64_t longer = std::max(next.query - last.query, next.key - last.key);
    if (seen <= next.key && longer >= kAttentionBlock) places.push_back(next);
  }
  places.push_back({queries, keys});
  return places;
}

// Backward of one key head over one part. The matrix of queries and keys is cut into blocks; those of one diagonal
// share neither queries nor keys, so they may run at once.
template <class T>
class PartBackward {
 public:
  PartBackward(const AttentionBackwardArgs& a, int64_t g, Place begin, Place end)
      : a_(a),
        g_(g),
        begin_(begin),
        end_(end),
        scale_(static_cast<float>(a.scale)),
        D_(a.q.shape[2]),
        V_(a.v.shape[2]),
        query_tiles_(attention_tiles(end.query - begin.query)),
        key_tiles_(attention_tiles(end.key - begin.key)),
        keys_(key_tiles_ * attention_key_tile(D_, V_)),
        queries_(query_tiles_ * attention_query_tile(D_, V_)),
        dk_(key_tiles_ * kAttentionTile * attention_padded(D_), 0.0f),
        dv_(key_tiles_ * kAttentionTile * attention_padded(V_), 0.0f),
        seen_(seen_blocks()) {}

  void run() {
    const int64_t group = a_.q.shape[1] / a_.k.shape[1];
    for_each(key_tiles_, [&](int64_t j) {
      kernels().pack_keys(keys(j), attention_head<T>(a_, g_ * group), first_key(j), num_keys(j));
    });
    // The heads that share the key head, one after the other: their sums into dk and dv have one order.
    for (int64_t h = g_ * group; h < (g_ + 1) * group; ++h) {
      pack_queries(h);
      add_blocks();
      write_queries(h);
    }
    for_each(key_tiles_, [&](int64_t j) {
      kernels().write_rows(head_view<T, T>(a_.dk, g_), first_key(j), num_keys(j), D_, dk(j), scale_);
      kernels().write_rows(head_view<T, T>(a_.dv, g_), first_key(j), num_keys(j), V_, dv(j), 1);
    });
  }

 private:
  // Tiles along the side of a block, and the queries or keys of one.
  static constexpr int64_t kBlock = 2, kBlockRows = kBlock * kAttentionTile;
  static constexpr int64_t blocks(int64_t tiles) { return (tiles + kBlock - 1) / kBlock; }

  static const AttentionBackward<T>& kernels() {
    static const auto kernels = on_best_product_isa([]<Isa isa>() { return attention_backward_pieces<isa, T>(); });
    return kernels;
  }
  int64_t first_query(int64_t tile) const { return begin_.query + tile * kAttentionTile; }
  int64_t first_key(int64_t tile) const { return begin_.key + tile * kAttentionTile; }
  int64_t num_queries(int64_t tile) const { return std::min(end_.query - first_query(tile), kAttentionTile); }
  int64_t num_keys(int64_t tile) const { return std::min(end_.key - first_key(tile), kAttentionTile); }
  float* keys(int64_t tile) { return keys_.data() + tile * attention_key_tile(D_, V_); }
  float* queries(int64_t tile) { return queries_.data() + tile * attention_query_tile(D_, V_); }
  float* dk(int64_t tile) { return dk_.data() + tile * kAttentionTile * attention_padded(D_); }
  float* dv(int64_t tile) { return dv_.data() + tile * kAttentionTile * attention_padded(V_); }

  template <class Body>
  static void for_each(int64_t count, Body body) {
    parallel_for(count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) body(i);
    });
  }

  // For each block of queries the blocks of keys [begin, end) between the first and the last key that it sees.
  std::vector<KeyRange> seen_blocks() const {
    const KeyRanges ranges(a_.mask);
    std::vector<KeyRange> seen(static_cast<size_t>(blocks(query_tiles_)), {blocks(key_tiles_), 0});
    for (int64_t t = begin_.query; t < end_.query; ++t) {
      if (ranges[t].empty()) continue;
      KeyRange& of_block = seen[static_cast<size_t>((t - begin_.query) / kBlockRows)];
      of_block.begin = std::min(of_block.begin, (ranges[t].begin - begin_.key) / kBlockRows);
      of_block.end = std::max(of_block.end, (ranges[t].end - 1 - begin_.key) / kBlockRows + 1);
    }
    return seen;
  }
  bool sees(int64_t I, int64_t J) const {
    const KeyRange& seen = seen_[static_cast<size_t>(I)];
    return seen.begin <= J && J < seen.end;
  }

  void pack_queries(int64_t h) {
    const AttentionGradients<T> gradients{head_view<T, T>(a_.dq, h), head_view<const T, T>(a_.o, h),
                                          head_view<const T, T>(a_.d_o, h)};
    for_each(query_tiles_, [&](int64_t i) {
      kernels().pack_queries(queries(i), attention_head<T>(a_, h), gradients, first_query(i), num_queries(i));
    });
  }

  void write_queries(int64_t h) {
    for_each(query_tiles_, [&](int64_t i) {
      Scratch<float> scratch(attention_pair_scratch(D_));
      kernels().write_queries(head_view<T, T>(a_.dq, h), first_query(i), num_queries(i), D_, queries(i), scale_,
                              scratch.data());
    });
  }

  // A query's gradient is summed over blocks of keys descending, a key's over blocks of queries ascending. One thread
  // goes by columns, where the keys stay in the cache, several by diagonals.
  void add_blocks() {
    const int64_t query_blocks = blocks(query_tiles_), key_blocks = blocks(key_tiles_);
    if (num_threads() == 1) {
      for (int64_t J = key_blocks - 1; J >= 0; --J) {
        for (int64_t I = 0; I < query_blocks; ++I) {
          if (sees(I, J)) add_block(I, J);
        }
      }
      return;
    }
    std::vector<int64_t> diagonal;  // the blocks of queries I that see the block of keys I - r
    for (int64_t r = 1 - key_blocks; r < query_blocks; ++r) {
      diagonal.clear();
      for (int64_t I = std::max<int64_t>(r, 0); I < std::min(query_blocks, key_blocks + r); ++I) {
        if (sees(I, I - r)) diagonal.push_back(I);
      }
      for_each(static_cast<int64_t>(diagonal.size()), [&](int64_t i) {
        const int64_t I = diagonal[static_cast<size_t>(i)];
        add_block(I, I - r);
      });
    }
  }

  void add_block(int64_t I, int64_t J) {
    Scratch<float> scratch(attention_pair_scratch(D_));
    for (int64_t j = J * kBlock; j < std::min((J + 1) * kBlock, key_tiles_); ++j) {
      for (int64_t i = I * kBlock; i < std::min((I + 1) * kBlock, query_tiles_); ++i) {
        kernels().add_pair({.queries = queries(i),
                            .dk = dk(j),
                            .dv = dv(j),
                            .scratch = scratch.data(),
                            .keys = keys(j),
                            .key = first_key(j),
                            .key_dim = D_,
                            .value_dim = V_,
                            .scale = scale_});
      }
    }
  }

  const AttentionBackwardArgs& a_;
  int64_t g_;
  Place begin_, end_;
  float scale_;
  int64_t D_, V_, query_tiles_, key_tiles_;
  Scratch<float> keys_, queries_, dk_, dv_;
  std::vector<KeyRange> seen_;
};

}  // namespace

void attention_backward(const AttentionBackwardArgs& a) {
  const std::vector<Place> places = cut(KeyRanges(a.mask), a.q.shape[0], a.k.shape[0]);
  const int64_t parts = static_cast<int64_t>(places.size()) - 1, count = a.k.shape[1] * parts;
  with_activation_type(a.q.dtype, [&]<class E>() {
    auto run = [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const size_t part = static_cast<size_t>(i % parts);
        PartBackward<E>(a, i / parts, places[part], places[part + 1]).run();
      }
    };
    // A thread takes whole parts; all threads together take those that are left over, if these would keep few busy.
    const int64_t left = count % num_threads(), shared = 2 * left > num_threads() ? 0 : left;
    parallel_for(count - shared, 1, run);
    run(count - shared, count);
  });
}

}  // namespace birkhoff::cpu
