#include "parallel/shard/partition.h"

#include <algorithm>
#include <limits>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// Fills the ranks in order, each up to the load `limit`. Returns the counts of the pieces, or an empty list if not
// everything fits.
PieceCounts fill(std::span<const PartitionItem> items, std::span<const double> load, double limit) {
  PieceCounts counts(load.size(), 0);
  size_t rank = 0;
  double room = limit - load[0];
  for (const PartitionItem& item : items) {
    const double unit = item.count > 0 ? item.cost / static_cast<double>(item.count) : 0;
    int64_t left = item.count;
    while (left > 0) {
      int64_t fits = unit * static_cast<double>(left) <= room ? left : 0;
      if (fits == 0 && item.grain > 0 && room > 0) {
        // unit > 0 here: an item without cost would have fit, since there is room.
        fits = static_cast<int64_t>(room / unit) / item.grain * item.grain;
      }
      counts[rank] += fits;
      left -= fits;
      room -= unit * static_cast<double>(fits);
      if (left == 0) break;
      if (++rank == load.size()) return {};
      room = limit - load[rank];
    }
  }
  return counts;
}

void add_costs(std::span<const PartitionItem> items, const PieceCounts& counts, std::span<double> load) {
  size_t rank = 0;
  int64_t room = counts[0];
  for (const PartitionItem& item : items) {
    for (int64_t left = item.count; left > 0;) {
      while (room == 0) room = counts[++rank];
      const int64_t here = std::min(room, left);
      load[rank] += item.cost * static_cast<double>(here) / static_cast<double>(item.count);
      room -= here;
      left -= here;
    }
  }
}

}  // namespace

// Finds the smallest feasible limit by bisection. Filling the ranks in order succeeds whenever any contiguous cut does.
PieceCounts cut_bucket(std::span<const PartitionItem> items, std::span<double> load) {
  BK_ASSERT(!load.empty());
  double total = 0;
  for (const PartitionItem& item : items) total += item.cost;
  double low = *std::min_element(load.begin(), load.end());
  // The margin is for rounding: filling adds the costs in another order.
  double high = *std::max_element(load.begin(), load.end()) + total * 1.001 + 1e-6;
  PieceCounts best = fill(items, load, high);
  BK_ASSERT(!best.empty());
  constexpr int kHalvings = 60;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = low + (high - low) / 2;
    PieceCounts counts = fill(items, load, middle);
    (counts.empty() ? low : high) = middle;
    if (!counts.empty()) best = std::move(counts);
  }
  add_costs(items, best, load);
  return best;
}

}  // namespace birkhoff
