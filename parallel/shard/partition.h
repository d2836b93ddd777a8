#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace birkhoff {

// f32 elements per cache line.
inline constexpr int64_t kCutAlignment = 16;

// One parameter as the partition sees it.
struct PartitionItem {
  int64_t count = 0;  // elements in the bucket, with padding
  double cost = 0;    // cost of its update, spread evenly over its elements
  // Cuts lie only at multiples of this many elements from the start of the parameter: kCutAlignment if any part will
  // do, the elements of one matrix if matrices must stay whole (Muon), 0 if one rank must get all of it.
  int64_t grain = 0;
};

// Element counts of the contiguous pieces of a bucket, one per rank, in rank order.
using PieceCounts = std::vector<int64_t>;

// Cuts a bucket so that the largest load[r] + cost(piece r) is as small as possible, and adds the costs of the pieces
// to `load`. Buckets are cut one after the other with the same `load`, so that each cut balances what the earlier cuts
// left unbalanced.
PieceCounts cut_bucket(std::span<const PartitionItem> items, std::span<double> load);

}  // namespace birkhoff
