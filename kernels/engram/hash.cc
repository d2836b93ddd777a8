#include "kernels/engram/hash.h"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "kernels/core/error.h"
#include "kernels/engram/numpy_random.h"

namespace birkhoff {
namespace {

constexpr int64_t kSeedStride = 10007;           // between the seeds of two layers
constexpr int64_t kMaxVocab = int64_t{1} << 29;  // keeps the multipliers' bound above 2^32 (NumpyRandom)
constexpr int64_t kMaxBase = int64_t{1} << 40;

bool is_prime(int64_t n) {
  if (n < 4) return n > 1;
  if (n % 2 == 0) return false;
  for (int64_t d = 3; d * d <= n; d += 2) {
    if (n % d == 0) return false;
  }
  return true;
}

void check(const EngramHashSpec& s) {
  BK_CHECK(!s.layers.empty() && !s.orders.empty() && s.num_heads > 0,
           "engram: layers, orders and num_heads are needed");
  BK_CHECK(s.bases.size() == s.orders.size(), "engram: ", s.bases.size(), " bases for ", s.orders.size(), " orders");
  for (size_t i = 0; i < s.orders.size(); ++i) {
    BK_CHECK(s.orders[i] > (i == 0 ? 1 : s.orders[i - 1]), "engram: order ", s.orders[i],
             " out of place, expected ascending orders of at least 2");
  }
  BK_CHECK(s.compressed_vocab > 0 && s.compressed_vocab < kMaxVocab, "engram: compressed_vocab is ", s.compressed_vocab,
           ", expected 1 to ", kMaxVocab - 1);
  BK_CHECK(s.pad >= 0 && s.pad < s.compressed_vocab, "engram: pad is ", s.pad, ", expected below compressed_vocab ",
           s.compressed_vocab);
  for (int64_t base : s.bases) BK_CHECK(base >= 1 && base < kMaxBase, "engram: a base is ", base);
  for (int64_t layer : s.layers) BK_CHECK(layer >= 0, "engram: a layer is ", layer);
}

std::vector<int64_t> multipliers_of(const EngramHashSpec& s, int64_t layer) {
  // The bound keeps the product of any id and multiplier below 2^63.
  const int64_t bound = std::max<int64_t>(1, std::numeric_limits<int64_t>::max() / s.compressed_vocab / 2);
  NumpyRandom random(static_cast<uint64_t>(s.seed + kSeedStride * layer));
  std::vector<int64_t> multipliers(static_cast<size_t>(s.orders.back()));
  for (int64_t& m : multipliers) m = 2 * random.integer(bound) + 1;
  return multipliers;
}

}  // namespace

EngramHash::EngramHash(EngramHashSpec spec) : spec_(std::move(spec)) {
  check(spec_);
  std::unordered_set<int64_t> used;           // primes of all tables: no two segments share one
  std::unordered_map<int64_t, int64_t> next;  // per base: the smallest number that may be an unused prime from it on
  for (int64_t layer : spec_.layers) {
    EngramTable table;
    table.multipliers = multipliers_of(spec_, layer);
    for (int64_t base : spec_.bases) {
      int64_t& candidate = next.try_emplace(base, base).first->second;
      for (int64_t head = 0; head < spec_.num_heads; ++head, ++candidate) {
        while (used.count(candidate) || !is_prime(candidate)) ++candidate;
        used.insert(candidate);
        table.primes.push_back(candidate);
        table.offsets.push_back(table.num_rows);
        table.num_rows += candidate;
      }
    }
    tables_.push_back(std::move(table));
  }
}

void EngramHash::row_ids(int64_t site, std::span<const int32_t> ids, std::span<const int32_t> document_start,
                         std::span<int64_t> rows) const {
  const int64_t T = static_cast<int64_t>(ids.size()), K = num_columns();
  BK_CHECK(site >= 0 && site < static_cast<int64_t>(tables_.size()), "engram: no site ", site);
  BK_CHECK(document_start.size() == ids.size() && static_cast<int64_t>(rows.size()) == T * K,
           "engram: ids, document_start and rows have ", T, ", ", document_start.size(), " and ", rows.size(),
           " elements");
  const EngramTable& table = tables_[static_cast<size_t>(site)];
  for (int64_t t = 0; t < T; ++t) {
    uint64_t mix = 0;
    bool reachable = true;
    auto order = spec_.orders.begin();
    size_t k = 0;
    for (int64_t back = 0; back < max_order(); ++back) {
      // Once a look-back leaves the document or meets a dead position, all tokens further back count as pad too.
      const int64_t at = t - back;
      reachable =
          reachable && at >= document_start[static_cast<size_t>(t)] && ids[static_cast<size_t>(at)] != kEngramDead;
      const int64_t id = reachable ? ids[static_cast<size_t>(at)] : spec_.pad;
      BK_CHECK(id >= 0 && id < spec_.compressed_vocab, "engram: id ", id, " at token ", at,
               ", expected below compressed_vocab ", spec_.compressed_vocab);
      mix ^= static_cast<uint64_t>(id) * static_cast<uint64_t>(table.multipliers[static_cast<size_t>(back)]);
      if (*order != back + 1) continue;
      ++order;
      for (int64_t head = 0; head < spec_.num_heads; ++head, ++k) {
        rows[static_cast<size_t>(t * K) + k] =
            static_cast<int64_t>(mix % static_cast<uint64_t>(table.primes[k])) + table.offsets[k];
      }
    }
  }
}

}  // namespace birkhoff
