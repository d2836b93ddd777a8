#include <algorithm>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_heads.h"
#include "kernels/attention/attention_simd.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/product_isa.h"
#include "kernels/core/cpu/scratch.h"

namespace birkhoff::cpu {
namespace {

// Forward of the query heads of some key heads, whose keys are packed once.
template <class T>
class HeadsForward {
 public:
  HeadsForward(const AttentionArgs& a, int64_t key_heads)
      : a_(a),
        num_queries_(a.q.shape[0]),
        num_keys_(a.k.shape[0]),
        tile_(attention_forward_tile(a.q.shape[2], a.v.shape[2])),
        keys_(key_heads * attention_tiles(num_keys_) * tile_) {}

  void run(int64_t g, int64_t key_heads) {
    const int64_t tiles = attention_tiles(num_keys_), group = a_.q.shape[1] / a_.k.shape[1];
    const int64_t blocks = blocks_of(num_queries_);
    parallel_for(key_heads * tiles, 4, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) pack(g + i / tiles, i % tiles, keys_.data() + i * tile_);
    });
    parallel_for(key_heads * group * blocks, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        const int64_t h = i / blocks, n = i % blocks;
        // Early queries often see few keys: blocks alternate between both ends, so that any run of them is about as
        // long.
        attend(g * group + h, n % 2 == 0 ? n / 2 : blocks - 1 - n / 2, keys_.data() + h / group * tiles * tile_);
      }
    });
  }
  static int64_t blocks_of(int64_t queries) { return (queries + kAttentionBlock - 1) / kAttentionBlock; }

 private:
  static const AttentionForward<T>& kernels() {
    static const auto kernels = on_best_product_isa([]<Isa isa>() { return attention_forward_pieces<isa, T>(); });
    return kernels;
  }
  Scratch<float> scratch() const { return Scratch<float>(attention_forward_scratch(a_.q.shape[2], a_.v.shape[2])); }

  void pack(int64_t g, int64_t i, float* tile) const {
    auto work = scratch();
    const int64_t begin = i * kAttentionTile, group = a_.q.shape[1] / a_.k.shape[1];
    kernels().pack(tile, attention_head<T>(a_, g * group), begin, std::min(kAttentionTile, num_keys_ - begin),
                   work.data());
  }
  void attend(int64_t h, int64_t block, const float* keys) const {
    auto work = scratch();
    const int64_t begin = block * kAttentionBlock;
    kernels().attend(attention_head<T>(a_, h), head_view<T, T>(a_.o, h), keys, begin,
                     std::min(begin + kAttentionBlock, num_queries_), work.data());
  }

  const AttentionArgs& a_;
  int64_t num_queries_, num_keys_, tile_;
  Scratch<float> keys_;
};

}  // namespace

void attention_forward(const AttentionArgs& a) {
  if (a.q.shape[0] == 0) return;  // no key has to be packed
  const int64_t H = a.q.shape[1], Hkv = a.k.shape[1];
  with_activation_type(a.q.dtype, [&]<class E>() {
    // No more key heads at once than keep the threads busy.
    const int64_t blocks = std::max<int64_t>(HeadsForward<E>::blocks_of(a.q.shape[0]) * (H / Hkv), 1);
    const int64_t at_once = std::min((4 * num_threads() + blocks - 1) / blocks, Hkv);
    HeadsForward<E> forward(a, at_once);
    for (int64_t g = 0; g < Hkv; g += at_once) forward.run(g, std::min(at_once, Hkv - g));
  });
}

}  // namespace birkhoff::cpu
