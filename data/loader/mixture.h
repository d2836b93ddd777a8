#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff {

// Assigns sequences to sources so that after any K sequences a source with weight w has floor(wK) or ceil(wK) of them
// within 1 (w normalized to sum 1): the deviation is at most 1 - 1/(2n - 2) for n sources. Integer arithmetic, so every
// machine chooses alike.
// Source: Tijdeman, "The chairman assignment problem", Discrete Mathematics 32 (1980).
class Mixture {
 public:
  // UserError if there is no source, a weight is negative or not finite, or all are 0. 0 means never.
  explicit Mixture(const std::vector<double>& weights);
  // The source of the sequence after those counted. counts[i]: sequences taken from source i so far.
  int next(const std::vector<int64_t>& counts) const;
  int size() const { return static_cast<int>(weights_.size()); }

 private:
  std::vector<int64_t> weights_;  // sum 2^62
  int64_t num_drawn_ = 0;         // sources of weight above 0
};

}  // namespace birkhoff
