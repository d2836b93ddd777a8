#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/core/tensor.h"

namespace birkhoff {

// Ascending row ids of either integer dtype, on the host.
class RowIds {
 public:
  explicit RowIds(Tensor rows)
      : narrow_(rows.dtype == DType::i32 ? rows.as<int32_t>() : nullptr),
        wide_(rows.dtype == DType::i32 ? nullptr : rows.as<int64_t>()),
        count_(rows.count()) {}

  int64_t count() const { return count_; }
  int64_t operator[](int64_t i) const { return narrow_ ? narrow_[i] : wide_[i]; }
  // The first position whose id is at least `id`.
  int64_t lower_bound(int64_t id) const {
    return narrow_ ? std::lower_bound(narrow_, narrow_ + count_, id) - narrow_
                   : std::lower_bound(wide_, wide_ + count_, id) - wide_;
  }

 private:
  const int32_t* narrow_;
  const int64_t* wide_;
  int64_t count_;
};

}  // namespace birkhoff
