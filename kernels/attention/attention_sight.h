#pragma once
// Which keys a tile of queries sees, for the attention kernels of one instruction set. All of it has internal linkage
// (kernels/core/cpu/isa.h).
#include "kernels/attention/attention_tiles.h"
#include "kernels/core/cpu/lanes.h"

namespace birkhoff::cpu {
namespace {

// The keys that each query of a tile sees: [first, last], none where last < first, as beyond the tile's queries. And
// the least and greatest of both, by which whole tiles of keys are passed over.
struct alignas(64) Sight {
  int32_t first[kAttentionTile], last[kAttentionTile];
  int32_t least_first, most_first, least_last, most_last;
};

template <class T>
void look(Sight& s, const AttentionHead<T>& head, int64_t query, int64_t count) {
  s.least_first = s.least_last = INT32_MAX;
  s.most_first = s.most_last = -1;
  for (int64_t r = 0; r < kAttentionTile; ++r) {
    s.first[r] = INT32_MAX;
    s.last[r] = -1;
    if (r < count) {
      const int32_t begin = head.key_begin[query + r];
      const int32_t end = head.key_end ? head.key_end[query + r] : static_cast<int32_t>(query + r + 1);
      if (begin < end) s.first[r] = begin, s.last[r] = end - 1;
    }
    s.least_first = s.first[r] < s.least_first ? s.first[r] : s.least_first;
    s.most_first = s.first[r] > s.most_first ? s.first[r] : s.most_first;
    s.least_last = s.last[r] < s.least_last ? s.last[r] : s.least_last;
    s.most_last = s.last[r] > s.most_last ? s.last[r] : s.most_last;
  }
}

enum class Seen { none, some, all };
// Of the keys [key, key + kAttentionTile) by the queries of a tile.
[[maybe_unused]] Seen seen(const Sight& s, int64_t key) {
  if (s.most_last < key || s.least_first >= key + kAttentionTile) return Seen::none;
  return s.most_first <= key && s.least_last >= key + kAttentionTile - 1 ? Seen::all : Seen::some;
}

// `values` where the query in each lane sees the key, `other` elsewhere.
[[gnu::always_inline]] inline Lanes where_seen(const Sight& s, int64_t lane, int64_t key, Lanes values, Lanes other) {
  using Ints [[gnu::vector_size(4 * kLanes)]] = int32_t;
  Ints first, last;
  __builtin_memcpy(&first, s.first + lane, sizeof first);
  __builtin_memcpy(&last, s.last + lane, sizeof last);
  const Ints at = Ints{} + static_cast<int32_t>(key);
  return ((first <= at) & (at <= last)) != 0 ? values : other;
}

}  // namespace
}  // namespace birkhoff::cpu
