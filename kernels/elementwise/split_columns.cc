#include "kernels/elementwise/split_columns.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void split_columns(const SplitColumnsArgs&);
void concat_columns(const ConcatColumnsArgs&);
}  // namespace cpu
namespace reference {
void split_columns(const SplitColumnsArgs&);
void concat_columns(const ConcatColumnsArgs&);
}  // namespace reference

namespace {

void check(Tensor x, Tensor left, Tensor right) {
  BK_CHECK(left.shape.rows() == x.shape.rows() && right.shape.rows() == x.shape.rows() &&
               left.shape.back() + right.shape.back() == x.shape.back(),
           "split_columns: ", left.shape, " and ", right.shape, " do not make ", x.shape);
  BK_CHECK(left.dtype == x.dtype && right.dtype == x.dtype, "split_columns: ", left.dtype, " and ", right.dtype,
           " do not make ", x.dtype);
}

}  // namespace

void split_columns(Stream& stream, const SplitColumnsArgs& a) {
  check(a.x, a.left, a.right);
  OpScope scope(stream, "split_columns");
  BK_DISPATCH_HOST(stream, split_columns, a);
}

void concat_columns(Stream& stream, const ConcatColumnsArgs& a) {
  check(a.x, a.left, a.right);
  OpScope scope(stream, "concat_columns");
  BK_DISPATCH_HOST(stream, concat_columns, a);
}

}  // namespace birkhoff
