#include "parallel/shard/common_rows.h"

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"

namespace birkhoff {
namespace {

int64_t extent_from_last(const Box& box, int dim) {
  return box.extent.rank() >= dim ? box.extent[box.extent.rank() - dim] : 1;
}

// A box whose memory begins at element `begin` of its slice.
struct PlacedBox {
  Box box;
  int64_t begin;

  StridedRows rows_at(const Shape& indices, int64_t rows, int64_t columns) const {
    return {begin + box.element_at(indices), extent_from_last(box, 1), rows, columns};
  }
};

std::vector<PlacedBox> placed(const Slice& slice) {
  std::vector<PlacedBox> boxes;
  int64_t begin = 0;
  for (const Box& box : slice.boxes) {
    boxes.push_back({box, begin});
    begin += box.count();
  }
  return boxes;
}

// Each index of the dims before the last two gives rows of its own.
void append(const PlacedBox& a, const PlacedBox& b, CommonRows& out) {
  const std::optional<Box> common = intersection(a.box, b.box);
  if (!common) return;
  const int64_t rows = extent_from_last(*common, 2), columns = extent_from_last(*common, 1);
  for (int64_t element = 0; element < common->count(); element += rows * columns) {
    const Shape indices = common->indices_of(element);
    out.first.push_back(a.rows_at(indices, rows, columns));
    out.second.push_back(b.rows_at(indices, rows, columns));
  }
  out.count += common->count();
}

// Calls body(part of the strided tensor, part of the packed one) for runs that lie together in both.
template <class Body>
void for_each_run(Tensor strided, Tensor packed, const std::vector<StridedRows>& all, Body body) {
  int64_t at = 0;
  for (const StridedRows& r : all) {
    const bool joined = r.stride == r.columns;
    const int64_t runs = joined ? 1 : r.rows, length = joined ? r.rows * r.columns : r.columns;
    for (int64_t i = 0; i < runs; ++i, at += length) {
      body(strided.flat(r.begin + i * r.stride, length), packed.flat(at, length));
    }
  }
}

}  // namespace

CommonRows common_rows(const Slice& first, const Slice& second) {
  BK_ASSERT(first.global == second.global, "slices of tensors ", first.global, " and ", second.global);
  CommonRows common;
  const std::vector<PlacedBox> others = placed(second);
  for (const PlacedBox& a : placed(first)) {
    for (const PlacedBox& b : others) append(a, b, common);
  }
  return common;
}

void pack(Stream& stream, Tensor packed, Tensor from, const std::vector<StridedRows>& rows) {
  for_each_run(from, packed, rows, [&](Tensor source, Tensor to) { copy(stream, to, source); });
}

void unpack(Stream& stream, Tensor to, Tensor packed, const std::vector<StridedRows>& rows) {
  for_each_run(to, packed, rows, [&](Tensor target, Tensor source) { copy(stream, target, source); });
}

}  // namespace birkhoff
