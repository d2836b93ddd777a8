#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace birkhoff {

// The addresses of Engram rows depend on token ids alone, so the data loader computes them, on the host.

// Everything that an address depends on.
struct EngramHashSpec {
  std::vector<int64_t> layers;   // the layer number of each site; it seeds the site's multipliers
  std::vector<int64_t> orders;   // lengths of the n-grams looked up, ascending, each at least 2
  std::vector<int64_t> bases;    // for each order: the least number of rows of a head's segment
  int64_t num_heads = 8;         // hash heads per order
  int64_t compressed_vocab = 0;  // number of distinct compressed ids
  int64_t pad = 0;               // compressed id used where the n-gram has no token
  int64_t seed = 0;
};

// The compressed id of a position that is not text (media). All n-grams that end there consist of pads only, and no
// look-back crosses it.
inline constexpr int32_t kEngramDead = -1;

// The tables of one site, stored as one physical table with a segment for each (order, head), heads of one order
// together.
struct EngramTable {
  std::vector<int64_t> multipliers;  // [N], N the largest order
  std::vector<int64_t> primes;       // [K], K = orders * num_heads: the length of each segment
  std::vector<int64_t> offsets;      // [K], the first row of each segment
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

  // rows[t * num_columns() + k] are the rows of token t in the table of `site`, for each order n and each of its heads:
  //   mix_1 = id_t m_0,  mix_n = mix_{n-1} xor (id_{t-n+1} m_{n-1}),  row = mix_n mod prime + offset
  // A look-back gives pad if it leaves the document, or if it reaches or crosses a dead position.
  // Errors:  UserError if an id is outside [0, compressed_vocab) and not dead, or a size disagrees.
  // Source:  Engram, arXiv:2601.07372, section 2.2; DeepSeek-V4.1, engram.py.
  void row_ids(int64_t site, std::span<const int32_t> compressed_ids, std::span<const int32_t> document_start,
               std::span<int64_t> rows) const;

 private:
  EngramHashSpec spec_;
  std::vector<EngramTable> tables_;
};

}  // namespace birkhoff
