#pragma once
#include <cstdint>

#include "kernels/core/cpu/check_indices.h"

namespace birkhoff {

// The rows of the vocabulary that a table has.
class HeldRows {
 public:
  template <class Args>
  HeldRows(const Args& a, Tensor table) : first_(a.first), count_(table.shape[0]) {
    check_indices("embedding: id of token", a.ids, a.vocabulary == 0 ? count_ : a.vocabulary);
  }
  // The row of an id, or -1 if the table does not have it.
  int64_t row(int32_t id) const { return id >= first_ && id - first_ < count_ ? id - first_ : -1; }

 private:
  int64_t first_, count_;
};

}  // namespace birkhoff
