#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff {

// Assigns sequences to sources so that after any K sequences a source with weight w (weights normalized to sum 1) has
// floor(wK) or ceil(wK) of them. For n sources the deviation from wK is at most 1 - 1/(2n - 2).
// The quotas are exact integers. The deadlines, by which one of several eligible sources is chosen, are compared as
// long double, so the choice is the same on all machines with the same long double type.
// Source: Tijdeman, "The chairman assignment problem", Discrete Mathematics 32 (1980).
class Mixture {
 public:
  // Throws a UserError if there is no source, if a weight is negative or not finite, or if all are 0. A source of
  // weight 0 is never chosen.
  explicit Mixture(const std::vector<double>& weights);
  // The source of the next sequence. counts[i] is the number of sequences taken from source i so far.
  int next(const std::vector<int64_t>& counts) const;
  int size() const { return static_cast<int>(weights_.size()); }

 private:
  std::vector<int64_t> weights_;  // normalized to sum 2^62
  int64_t num_drawn_ = 0;         // number of sources with weight > 0
};

}  // namespace birkhoff
