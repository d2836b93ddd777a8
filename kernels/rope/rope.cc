#include "kernels/rope/rope.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void rope(const RopeArgs&);
}  // namespace cpu
namespace reference {
void rope(const RopeArgs&);
}  // namespace reference

void rope(Stream& stream, const RopeArgs& a) {
  BK_CHECK(a.x.shape.rank() == 3, "rope: x is ", a.x.shape, ", expected [T, H, E]");
  BK_CHECK(a.y.shape == a.x.shape && a.y.dtype == a.x.dtype, "rope: y is ", a.y.dtype, a.y.shape, ", x is ", a.x.dtype,
           a.x.shape);
  BK_CHECK(a.positions.count() == a.x.shape[0] && a.positions.dtype == DType::i32, "rope: positions are ",
           a.positions.dtype, a.positions.shape, ", expected i32 [", a.x.shape[0], "]");
  BK_CHECK(a.table.shape.rank() == 3 && a.table.shape[2] == 2, "rope: table is ", a.table.shape,
           ", expected [P, D/2, 2]");
  BK_CHECK(a.offset >= 0 && a.offset + 2 * a.table.shape[1] <= a.x.shape[2], "rope: ", 2 * a.table.shape[1],
           " dims from ", a.offset, " do not fit in a head of ", a.x.shape[2]);
  OpScope scope(stream, "rope");
  BK_DISPATCH_HOST(stream, rope, a);
}

}  // namespace birkhoff
