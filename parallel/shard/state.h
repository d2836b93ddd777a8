#pragma once
#include <cstdint>
#include <limits>
#include <string>

#include "kernels/core/error.h"
#include "kernels/core/tensor.h"
#include "parallel/comm/communicator.h"
#include "parallel/shard/slice.h"

namespace birkhoff {

// Visits all state that must survive the process. The same list of names is used to save, load, reshard, measure and
// digest it. A class that owns state names it in a function state(StateVisitor&).
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  // A part of the logical tensor `name`, or all of it, which all ranks of `holders` hold with equal bits. Slices of
  // different groups do not overlap, and together they cover the tensor.
  virtual void replicated(const std::string& name, Tensor local, const Slice& slice, const Communicator& holders) = 0;
  // A part that only this rank holds. Over all ranks every element is held exactly once. A rank without elements may
  // omit the name.
  virtual void shard(const std::string& name, Tensor local, const Slice& slice) = 0;
  // Values that are equal on all ranks. Loading replaces them.
  virtual void integer(const std::string& name, int64_t& value) = 0;
  virtual void real(const std::string& name, double& value) = 0;
  virtual void text(const std::string& name, std::string& value) = 0;
};

// An integer that counts something. DataError if a checkpoint gives a negative one or one above `max`.
inline void visit_count(StateVisitor& v, const std::string& name, int64_t& value,
                        int64_t max = std::numeric_limits<int64_t>::max()) {
  v.integer(name, value);
  if (value < 0 || value > max) throw DataError(concat(name, " is ", value, ", expected a number from 0 to ", max));
}

}  // namespace birkhoff
