#include "parallel/shard/division.h"

#include <numeric>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

struct Range {
  int64_t begin = 0, count = 0;
};

// A rank's share of `count` indices, in whole units.
Range share_of(int64_t count, int64_t unit, const Place& rank, Axis axis) {
  BK_ASSERT(count % unit == 0, count, " indices in units of ", unit);
  const int64_t units = count / unit, n = rank.degree(axis), i = rank.coordinate(axis);
  const int64_t begin = units * i / n, end = units * (i + 1) / n;
  return {begin * unit, (end - begin) * unit};
}

std::vector<int64_t> sizes_of(const Blocks& blocks, int64_t extent) {
  std::vector<int64_t> sizes = blocks.sizes;
  if (sizes.empty()) sizes = {extent / blocks.groups};
  BK_ASSERT(blocks.groups * std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) == extent,
            "the blocks do not add up to the ", extent, " indices of their dim");
  return sizes;
}

// The ranges of one dim that a rank holds.
std::vector<Range> ranges_of(const Place& rank, const Shape& global, const Division& division, int dim) {
  const int64_t extent = global[dim];
  const Cut* cut = nullptr;
  for (const Cut& c : division.cuts) {
    BK_ASSERT(c.dim != dim || cut == nullptr, "dim ", dim, " is cut twice");
    if (c.dim == dim) cut = &c;
  }
  if (cut == nullptr || rank.degree(cut->over) == 1) return {{0, extent}};
  const Blocks& blocks = division.blocks;
  if (blocks.dim != dim) return {share_of(extent, cut->unit, rank, cut->over)};
  const std::vector<int64_t> sizes = sizes_of(blocks, extent);
  if (blocks.groups > 1) return {share_of(extent, extent / blocks.groups, rank, cut->over)};
  std::vector<Range> ranges;
  int64_t first = 0;
  for (const int64_t size : sizes) {
    const Range share = share_of(size, cut->unit, rank, cut->over);
    ranges.push_back({first + share.begin, share.count});
    first += size;
  }
  return ranges;
}

// Splits ranges into one range for each index.
std::vector<Range> singles(const std::vector<Range>& ranges) {
  std::vector<Range> all;
  for (const Range& r : ranges) {
    for (int64_t i = 0; i < r.count; ++i) all.push_back({r.begin + i, 1});
  }
  return all;
}

}  // namespace

void check_division(const Shape& shape, const Division& division) {
  const Blocks& blocks = division.blocks;
  BK_ASSERT(blocks.groups > 0, "no groups of blocks");
  if (!blocks.sizes.empty() || blocks.groups > 1) {
    BK_ASSERT(blocks.dim >= 0 && blocks.dim < shape.rank(), "blocks of dim ", blocks.dim, " of ", shape);
    sizes_of(blocks, shape[blocks.dim]);
  }
  for (size_t i = 0; i < division.cuts.size(); ++i) {
    const Cut& cut = division.cuts[i];
    BK_ASSERT(cut.dim >= 0 && cut.dim < shape.rank(), "a cut of dim ", cut.dim, " of ", shape);
    for (size_t j = 0; j < i; ++j) {
      BK_ASSERT(division.cuts[j].dim != cut.dim && division.cuts[j].over != cut.over, "the cut of dim ", cut.dim,
                " of ", shape, " has the same dim or the same axis as another cut");
    }
    const bool whole = blocks.dim != cut.dim || blocks.sizes.empty();
    const std::vector<int64_t> sizes = whole ? std::vector<int64_t>{shape[cut.dim]} : blocks.sizes;
    if (blocks.dim == cut.dim && blocks.groups > 1) continue;  // such a cut lies between groups and ignores the unit
    for (const int64_t size : sizes) {
      BK_ASSERT(cut.unit > 0 && size % cut.unit == 0, size, " indices of dim ", cut.dim, " in units of ", cut.unit);
    }
  }
}

// In memory, the held part is one row-major tensor of the held shape, but a slice stores its boxes one after the other.
// The two orders must agree. So if a dim has several ranges, every dim before it is split into single indices.
Held held_by(const Place& rank, const Shape& global, const Division& division) {
  std::vector<std::vector<Range>> dims;
  Held held{{global, {{}}}, {}};
  int last_divided = -1;
  for (int d = 0; d < global.rank(); ++d) {
    dims.push_back(ranges_of(rank, global, division, d));
    if (dims.back().size() > 1) last_divided = d;
    int64_t extent = 0;
    for (const Range& r : dims.back()) extent += r.count;
    held.shape.append(extent);
  }
  for (int d = 0; d < global.rank(); ++d) {
    const auto& whole = dims[static_cast<size_t>(d)];
    const std::vector<Range> ranges = d < last_divided ? singles(whole) : whole;
    std::vector<Box> boxes;
    for (const Box& box : held.slice.boxes) {
      for (const Range& r : ranges) {
        boxes.push_back(box);
        boxes.back().begin.append(r.begin);
        boxes.back().extent.append(r.count);
      }
    }
    held.slice.boxes = std::move(boxes);
  }
  return held;
}

}  // namespace birkhoff
