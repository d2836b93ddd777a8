#include "kernels/rope/rope.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void rope(const RopeArgs&);
}
namespace reference {
void rope(const RopeArgs&);
}

void rope(Stream& stream, const RopeArgs& a) {
  BK_CHECK(a.x.shape.rank() == 3, "rope: x is ", a.x.shape, ", expected [T, H, D]");
  BK_CHECK(a.table.shape.rank() == 3 && a.table.shape[2] == 2, "rope: table is ", a.table.shape,
           ", expected [length, dims / 2, 2]");
  BK_CHECK(a.positions.count() == a.x.shape[0], "rope: positions is ", a.positions.shape, ", x is ", a.x.shape);
  BK_CHECK(a.offset >= 0 && a.offset + 2 * a.table.shape[1] <= a.x.shape[2], "rope: ", 2 * a.table.shape[1],
           " dims from ", a.offset, " on do not fit a head of ", a.x.shape[2]);
  OpScope scope(stream, "rope");
  BK_DISPATCH_HOST(stream, rope, a);
}

}  // namespace birkhoff
