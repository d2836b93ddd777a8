#pragma once
#include <vector>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"
#include "parallel/shard/slice.h"

namespace birkhoff {

// `rows` rows of `columns` elements in memory. Row i begins at element begin + i * stride.
struct StridedRows {
  int64_t begin = 0, stride = 0, rows = 0, columns = 0;
  bool operator==(const StridedRows&) const = default;
};

// The elements that two slices of a tensor have in common, each once: where they lie in the memory of the first slice,
// and in the same order, where they lie in that of the second one. The order is that of the boxes of the first slice,
// then that of the boxes of the second one.
struct CommonRows {
  std::vector<StridedRows> first, second;
  int64_t count = 0;
};
// Errors: BugError unless both are slices of a tensor of the same shape.
CommonRows common_rows(const Slice& first, const Slice& second);

// Copy rows one after the other into a tensor that holds nothing else, and back. The tensors are read as flat ones.
void pack(Stream& stream, Tensor packed, Tensor from, const std::vector<StridedRows>& rows);
void unpack(Stream& stream, Tensor to, Tensor packed, const std::vector<StridedRows>& rows);

}  // namespace birkhoff
