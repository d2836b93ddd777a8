#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace birkhoff {

// Host functions, used by the data loader: addresses of Engram rows depend on token ids alone.

// What names the tables: everything that an address depends on.
struct EngramHashSpec {
  std::vector<int64_t> layers;   // sites, as the layer numbers that seed their multipliers
  std::vector<int64_t> orders;   // lengths of the n-grams looked up, ascending, each at least 2
  std::vector<int64_t> bases;    // per order: every head's table has at least that many rows
  int64_t num_heads = 8;         // hash heads per order
  int64_t compressed_vocab = 0;  // number of distinct compressed ids
  int64_t pad = 0;               // compressed id that stands for "nothing there"
  int64_t seed = 0;
};

// A compressed id that is no text (a media position): it hashes as all-pad and blocks every look-back across it.
inline constexpr int32_t kEngramDead = -1;

// The tables of one site: one physical table, a segment for each (order, head), orders first.
struct EngramTable {
  std::vector<int64_t> multipliers;  // [N], N the largest order
  std::vector<int64_t> primes;       // [K], K = orders * num_heads: the length of each segment
  std::vector<int64_t> offsets;      // [K], where each segment begins
  int64_t num_rows = 0;
};

class EngramHash {
 public:
  // UserError if a field is out of range.
  explicit EngramHash(EngramHashSpec spec);

  const EngramHashSpec& spec() const { return spec_; }
  const EngramTable& table(int64_t site) const { return tables_[static_cast<size_t>(site)]; }
  int64_t max_order() const { return spec_.orders.back(); }
  int64_t num_columns() const { return static_cast<int64_t>(spec_.orders.size()) * spec_.num_heads; }

  // rows[t * num_columns() + k]: the rows of token t in the table of `site`,
  //   mix_1 = id_t m_0,  mix_n = mix_{n-1} xor (id_{t-n+1} m_{n-1}),  row = mix_n mod prime + offset
  // for each order n and each of its heads.
  // A look-back beyond document_start[t], or to a dead position or beyond it, gives pad.
  // Errors:  UserError if an id is outside [0, compressed_vocab) and not dead, or a size disagrees.
  // Source:  Engram, arXiv:2601.07372, section 2.2; DeepSeek-V4.1, engram.py.
  void row_ids(int64_t site, std::span<const int32_t> compressed_ids, std::span<const int32_t> document_start,
               std::span<int64_t> rows) const;

 private:
  EngramHashSpec spec_;
  std::vector<EngramTable> tables_;
};

}  // namespace birkhoff
