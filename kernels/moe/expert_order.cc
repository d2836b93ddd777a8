#include "kernels/moe/expert_order.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void expert_order(const ExpertOrderArgs&);
}  // namespace cpu
namespace reference {
void expert_order(const ExpertOrderArgs&);
}  // namespace reference

void expert_order(Stream& stream, const ExpertOrderArgs& a) {
  BK_CHECK(a.row_of.shape == a.index.shape, "expert_order: row_of is ", a.row_of.shape, ", index ", a.index.shape);
  BK_CHECK(a.token_of.count() == a.index.count(), "expert_order: token_of is ", a.token_of.shape, ", index ",
           a.index.shape);
  BK_CHECK(a.offsets.count() >= 1 && a.offsets.dtype == DType::i64, "expert_order: offsets is ", a.offsets.dtype,
           a.offsets.shape, ", expected i64 [E + 1]");
  BK_CHECK(a.index.count() <= INT32_MAX, "expert_order: ", a.index.count(), " pairs do not fit i32");
  OpScope scope(stream, "expert_order");
  BK_DISPATCH_HOST(stream, expert_order, a);
}

}  // namespace birkhoff
