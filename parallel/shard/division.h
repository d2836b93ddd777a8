#pragma once
#include <cstdint>
#include <vector>

#include "parallel/mesh/mesh.h"
#include "parallel/shard/slice.h"

namespace birkhoff {

// Describes a dim in which a layer stores several products together. The dim consists of `groups` runs of equal length.
// Each run consists of blocks of the given sizes, and block b of all runs together is one product. SwiGLU's gate and up
// are {1, {F, F}}; MLA's keys and values, which alternate by head, are {H, {N, V}}. Without sizes a run is one block.
struct Blocks {
  int dim = 0;
  int64_t groups = 1;
  std::vector<int64_t> sizes = {};
};

// Divides one dim of a tensor over the ranks along an axis, as evenly as its units allow: the ranks' numbers of units
// differ by at most one. If the dim is made of blocks, a rank holds its share of each block, or, if there are several
// groups of blocks, its share of the groups.
struct Cut {
  int dim = 0;
  Axis over = Axis::tp;
  int64_t unit = 1;  // cuts lie only at multiples of this many indices, such as the width of a head
};

// Which part of a logical tensor each rank holds. Without cuts every rank holds all of it.
struct Division {
  Blocks blocks = {};
  std::vector<Cut> cuts = {};  // each of a different dim
};

// What a rank holds: a tensor of `shape`, which is `slice` of the logical one.
struct Held {
  Slice slice;
  Shape shape;
};
// BugError unless the division fits the shape on every mesh: the dims exist, each is cut once and over one axis, blocks
// add up to their dim, and units divide what is cut.
void check_division(const Shape& shape, const Division& division);
Held held_by(const Place& rank, const Shape& global, const Division& division);

}  // namespace birkhoff
