#pragma once
#include <cstdint>
#include <iosfwd>
#include <string_view>
#include <vector>

#include "kernels/core/source_location.h"
#include "kernels/core/tensor.h"
#include "kernels/reduce/combine.h"

namespace birkhoff {

enum class Op : uint8_t { all_reduce, all_gather_v, reduce_scatter_v, all_to_all_v, broadcast, send, recv, split };
std::string_view name_of(Op op);

// Describes one communication. Backends execute it, decorators record it, and ranks compare it.
struct Operation {
  Op op = Op::all_reduce;
  Reduce reduce = Reduce::sum;
  Tensor out = {}, in = {};                              // the same tensor if the operation works in place
  std::vector<int64_t> out_counts = {}, in_counts = {};  // elements per rank, for the _v operations
  int peer = 0;                                          // root of a broadcast, other end of send and recv
  int world_peer = 0;                                    // its number in the world, for messages
  int tag = 0;
  SourceLocation where = {};

  // Elements and bytes of the larger side.
  int64_t count() const;
  int64_t bytes() const;
  // Elements that a rank of a group of `size` ranks sends to the others if every block goes straight to those that
  // receive it. An all_reduce counts as a reduce_scatter of equal blocks and an all_gather. How a backend moves the
  // data may differ, for example through memory that the ranks share.
  int64_t count_sent(int rank, int size) const;
  DType dtype() const { return op == Op::send ? in.dtype : out.dtype; }
};
// "all_reduce sum of 12 f32", "broadcast of 12 f32 from rank 3"; the rank is world_peer.
std::ostream& operator<<(std::ostream& out, const Operation& operation);

}  // namespace birkhoff
