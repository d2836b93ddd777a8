#include "kernels/elementwise/split_columns.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void split_columns(const ColumnsArgs&);
void join_columns(const ColumnsArgs&);
}  // namespace cpu
namespace reference {
void split_columns(const ColumnsArgs&);
void join_columns(const ColumnsArgs&);
}  // namespace reference
namespace {

void check(const ColumnsArgs& a) {
  const int64_t A = a.left.shape.back(), B = a.right.shape.back(), rows = a.whole.shape.rows();
  BK_CHECK(a.whole.shape.back() == A + B && a.left.shape.rows() == rows && a.right.shape.rows() == rows &&
               a.left.dtype == a.whole.dtype && a.right.dtype == a.whole.dtype,
           "split_columns: whole is ", a.whole.dtype, a.whole.shape, ", left is ", a.left.dtype, a.left.shape,
           ", right is ", a.right.dtype, a.right.shape);
}

}  // namespace

void split_columns(Stream& stream, const ColumnsArgs& a) {
  check(a);
  OpScope scope(stream, "split_columns");
  BK_DISPATCH_HOST(stream, split_columns, a);
}

void join_columns(Stream& stream, const ColumnsArgs& a) {
  check(a);
  OpScope scope(stream, "join_columns");
  BK_DISPATCH_HOST(stream, join_columns, a);
}

}  // namespace birkhoff
