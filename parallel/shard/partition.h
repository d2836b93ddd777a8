#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace birkhoff {

// Elements of a cache line.
inline constexpr int64_t kCutAlignment = 16;

// One parameter as the partition sees it.
struct PartitionItem {
  int64_t count = 0;  // elements it takes in the bucket
  double cost = 0;    // of its update; spread evenly over its elements
  // Cuts lie at multiples of so many elements from its begin: kCutAlignment where any part will do, the elements of a
  // matrix where whole matrices are wanted (Muon). 0: one rank gets it whole.
  int64_t grain = 0;
};

// Element counts of the contiguous pieces of a bucket, one per rank, in rank order.
using PieceCounts = std::vector<int64_t>;

// Cuts a bucket so that the largest load[r] + cost(piece r) is as small as it can be, and adds the cost of the pieces
// to `load`. Buckets are cut one after the other with the same `load`, so that what one leaves uneven the next evens
// out.
PieceCounts cut_bucket(std::span<const PartitionItem> items, std::span<double> load);

}  // namespace birkhoff
