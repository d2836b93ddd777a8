#include "parallel/shard/slice.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// The part of the box with indices [first, first + count) in one dim, counted from the start of the box.
Box rows(const Box& box, int dim, int64_t first, int64_t count) {
  return {box.begin.with(dim, box.begin[dim] + first), box.extent.with(dim, count)};
}

// Appends elements [begin, end) of a box, counted row-major, as boxes. 0 <= begin < end <= box.count().
void append_range(const Box& box, int64_t begin, int64_t end, std::vector<Box>& out) {
  if (end - begin == box.count()) {
    out.push_back(box);
    return;
  }
  int dim = 0;
  while (box.extent[dim] == 1) ++dim;
  const int64_t row = box.count() / box.extent[dim];  // elements of one row
  int64_t first = begin / row;
  const int64_t last = end / row;  // the row in which the range ends
  if (first == last) return append_range(rows(box, dim, first, 1), begin - first * row, end - first * row, out);
  if (begin % row != 0) {
    append_range(rows(box, dim, first, 1), begin % row, row, out);
    ++first;
  }
  if (first < last) out.push_back(rows(box, dim, first, last - first));
  if (end % row != 0) append_range(rows(box, dim, last, 1), 0, end % row, out);
}

Shape zeros(int rank) {
  Shape shape;
  for (int i = 0; i < rank; ++i) shape.append(0);
  return shape;
}

// The number of consecutive elements of a box that are neighbors in the tensor too: the product of the extents of the
// last dims that the box holds whole, times its extent in the dim before them.
int64_t run_length(const Shape& global, const Box& box) {
  int64_t run = 1;
  for (int d = global.rank(); d-- > 0;) {
    run *= box.extent[d];
    if (box.extent[d] != global[d]) break;
  }
  return run;
}

}  // namespace

Shape Box::indices_of(int64_t element) const {
  Shape indices = begin;
  for (int d = extent.rank(); d-- > 0; element /= extent[d]) {
    indices = indices.with(d, begin[d] + element % extent[d]);
  }
  return indices;
}

int64_t Box::element_at(const Shape& indices) const {
  int64_t element = 0;
  for (int d = 0; d < extent.rank(); ++d) element = element * extent[d] + indices[d] - begin[d];
  return element;
}

std::optional<Box> intersection(const Box& a, const Box& b) {
  Box common = a;
  for (int d = 0; d < a.begin.rank(); ++d) {
    const int64_t begin = std::max(a.begin[d], b.begin[d]);
    const int64_t end = std::min(a.begin[d] + a.extent[d], b.begin[d] + b.extent[d]);
    if (begin >= end) return std::nullopt;
    common = {common.begin.with(d, begin), common.extent.with(d, end - begin)};
  }
  return common;
}

Slice Slice::all(const Shape& shape) { return {shape, {{zeros(shape.rank()), shape}}}; }

int64_t Slice::count() const {
  int64_t sum = 0;
  for (const Box& box : boxes) sum += box.count();
  return sum;
}

Slice Slice::part(int64_t begin, int64_t count) const {
  Slice result{global, {}};
  int64_t before = 0;  // elements in the boxes before this one
  for (const Box& box : boxes) {
    const int64_t n = box.count(), from = std::clamp<int64_t>(begin - before, 0, n),
                  to = std::clamp<int64_t>(begin + count - before, 0, n);
    if (from < to) append_range(box, from, to, result.boxes);
    before += n;
  }
  BK_ASSERT(result.count() == count, "elements [", begin, ", ", begin + count, ") of a slice of ", global, " with ",
            before, " elements");
  return result;
}

Shape Slice::indices_of(int64_t i) const {
  int64_t before = 0;  // elements in the boxes before this one
  for (const Box& box : boxes) {
    if (i < before + box.count()) return box.indices_of(i - before);
    before += box.count();
  }
  throw BugError(concat("element ", i, " of a slice of ", global, " with ", before, " elements"));
}

void Slice::for_each_run(const Run& body) const {
  const Box whole{zeros(global.rank()), global};
  int64_t local = 0;
  for (const Box& box : boxes) {
    const int64_t n = box.count(), length = run_length(global, box);
    for (int64_t i = 0; i < n; i += length) body(whole.element_at(box.indices_of(i)), local + i, length);
    local += n;
  }
}

}  // namespace birkhoff
