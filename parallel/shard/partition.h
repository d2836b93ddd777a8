#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace birkhoff {

// One parameter as the partition sees it.
struct PartitionItem {
  int64_t count = 0;     // elements it takes in the bucket
  double cost = 0;       // of its update; spread evenly over its elements
  bool may_cut = false;  // else one rank gets it whole (a matrix that Muon orthogonalises)
};

// Element counts of the contiguous pieces of a bucket, one per rank, in rank order.
using PieceCounts = std::vector<int64_t>;

// Cuts a bucket so that the largest load[r] + cost(piece r) is as small as it can be, and adds the cost of the pieces
// to `load`. Buckets are cut one after the other with the same `load`, so that what one leaves uneven the next evens
// out. Cuts inside a parameter lie on multiples of kCutAlignment elements from its begin.
inline constexpr int64_t kCutAlignment = 16;
PieceCounts cut_bucket(std::span<const PartitionItem> items, std::span<double> load);

}  // namespace birkhoff
