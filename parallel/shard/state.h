#pragma once
#include <cstdint>
#include <limits>
#include <string>

#include "kernels/core/error.h"
#include "kernels/core/tensor.h"
#include "parallel/comm/communicator.h"
#include "parallel/shard/slice.h"

namespace birkhoff {

// Sees everything that must survive the process. One list of names saves, loads, reshards, sizes and digests: who owns
// state has a function state(StateVisitor&) that names it.
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  // A part of the logical tensor `name`, or all of it: the ranks of `holders` all hold this slice, with equal bits.
  // Slices of different groups do not overlap, and together they cover the tensor.
  virtual void replicated(const std::string& name, Tensor local, const Slice& slice, const Communicator& holders) = 0;
  // A part that this rank alone holds. Over all ranks every element is held exactly once; a rank that holds none may
  // leave the name out.
  virtual void shard(const std::string& name, Tensor local, const Slice& slice) = 0;
  // Values that are equal on all ranks. On loading they are replaced.
  virtual void integer(const std::string& name, int64_t& value) = 0;
  virtual void real(const std::string& name, double& value) = 0;
  virtual void text(const std::string& name, std::string& value) = 0;
};

// An integer that counts something. DataError where a checkpoint gives one that is negative or above `max`.
inline void visit_count(StateVisitor& v, const std::string& name, int64_t& value,
                        int64_t max = std::numeric_limits<int64_t>::max()) {
  v.integer(name, value);
  if (value < 0 || value > max) throw DataError(concat(name, " is ", value, ", expected a number from 0 to ", max));
}

}  // namespace birkhoff
