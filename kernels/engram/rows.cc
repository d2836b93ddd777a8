#include "kernels/engram/rows.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"

namespace birkhoff {
namespace cpu {
void engram_gather_forward(const EngramGatherArgs&);
void engram_gather_backward(const EngramGatherBackwardArgs&);
}  // namespace cpu
namespace reference {
void engram_gather_forward(const EngramGatherArgs&);
void engram_gather_backward(const EngramGatherBackwardArgs&);
}  // namespace reference
namespace {

void check_rows(const Tensor& e, const Tensor& rows, const Tensor& index) {
  BK_CHECK(rows.shape.rank() == 2 && index.shape.rank() == 2 && index.dtype == DType::i32, "engram_gather: rows are ",
           rows.shape, ", index is ", index.dtype, index.shape, ", expected [U,D] and i32[T,K]");
  check_shape("engram_gather", "e", e, {index.shape[0], index.shape[1] * rows.shape[1]});
}

}  // namespace

void engram_gather_forward(Stream& stream, const EngramGatherArgs& a) {
  check_rows(a.e, a.rows, a.index);
  OpScope scope(stream, "engram_gather");
  BK_DISPATCH_HOST(stream, engram_gather_forward, a);
}

void engram_gather_backward(Stream& stream, const EngramGatherBackwardArgs& a) {
  check_rows(a.de, a.drows, a.index);
  OpScope scope(stream, "engram_gather_backward");
  BK_DISPATCH_HOST(stream, engram_gather_backward, a);
}

}  // namespace birkhoff
