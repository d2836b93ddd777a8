#include "kernels/core/shape.h"

#include <ostream>

#include "kernels/core/error.h"

namespace birkhoff {

Shape::Shape(std::initializer_list<int64_t> dims) {
  for (int64_t dim : dims) append(dim);
}

void Shape::append(int64_t dim) {
  BK_ASSERT(rank_ >= 0 && rank_ < kMaxRank && dim >= 0, "dim ", dim, " at position ", rank_);
  dims_[static_cast<size_t>(rank_++)] = dim;
}

Shape Shape::with(int dim, int64_t size) const {
  BK_ASSERT(dim >= 0 && dim < rank_ && size >= 0, "size ", size, " of dim ", dim, " of ", *this);
  Shape changed = *this;
  changed.dims_[static_cast<size_t>(dim)] = size;
  return changed;
}

bool Shape::operator==(const Shape& other) const { return rank_ == other.rank_ && dims_ == other.dims_; }

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  if (shape.is_absent()) return out << "absent";
  out << '[';
  for (int i = 0; i < shape.rank(); ++i) out << (i ? ", " : "") << shape[i];
  return out << ']';
}

}  // namespace birkhoff
