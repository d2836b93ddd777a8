#include "kernels/gemm/grouped_gemm.h"

#include "kernels/core/dispatch.h"
#include "kernels/gemm/shapes.h"

namespace birkhoff {
namespace cpu {
void grouped_gemm(const GroupedGemmArgs&);
void grouped_gemm_backward_input(const GroupedGemmBackwardInputArgs&);
void grouped_gemm_backward_weight(const GroupedGemmBackwardWeightArgs&);
}  // namespace cpu
namespace reference {
void grouped_gemm(const GroupedGemmArgs&);
void grouped_gemm_backward_input(const GroupedGemmBackwardInputArgs&);
void grouped_gemm_backward_weight(const GroupedGemmBackwardWeightArgs&);
}  // namespace reference

namespace {

// Checks the three tensors that every product shares and reports its work.
void check_and_count(Stream& stream, std::string_view op, Tensor outer_RO, Tensor inner_RI, Tensor weight_EOI,
                     Tensor offsets) {
  BK_CHECK(weight_EOI.shape.rank() == 3, op, ": weights are ", weight_EOI.shape, ", expected [E, O, I]");
  const int64_t E = weight_EOI.shape[0], O = weight_EOI.shape[1], I = weight_EOI.shape[2], R = inner_RI.shape.rows();
  BK_CHECK(inner_RI.shape.back() == I && outer_RO.shape.back() == O && outer_RO.shape.rows() == R, op, ": rows are ",
           inner_RI.shape, " and ", outer_RO.shape, " for weights ", weight_EOI.shape);
  BK_CHECK(offsets.dtype == DType::i64 && offsets.shape == Shape{E + 1}, op, ": offsets are ", offsets.dtype,
           offsets.shape, ", expected i64[", E + 1, "]");
  stream.count_flops(2.0 * static_cast<double>(R) * static_cast<double>(O) * static_cast<double>(I));
}

}  // namespace

void grouped_gemm(Stream& stream, const GroupedGemmArgs& a) {
  OpScope scope(stream, "grouped_gemm");
  check_and_count(stream, "grouped_gemm", a.y, a.x, a.weight, a.offsets);
  check_gemm_types("grouped_gemm", {a.y.dtype, a.x.dtype, a.weight.dtype}, false);
  BK_DISPATCH_HOST(stream, grouped_gemm, a);
}

void grouped_gemm_backward_input(Stream& stream, const GroupedGemmBackwardInputArgs& a) {
  OpScope scope(stream, "grouped_gemm_backward_input");
  check_and_count(stream, "grouped_gemm_backward_input", a.dy, a.dx, a.weight, a.offsets);
  check_gemm_types("grouped_gemm_backward_input", {a.dx.dtype, a.dy.dtype, a.weight.dtype}, false);
  BK_DISPATCH_HOST(stream, grouped_gemm_backward_input, a);
}

void grouped_gemm_backward_weight(Stream& stream, const GroupedGemmBackwardWeightArgs& a) {
  OpScope scope(stream, "grouped_gemm_backward_weight");
  check_and_count(stream, "grouped_gemm_backward_weight", a.dy, a.x, a.dw, a.offsets);
  check_gemm_types("grouped_gemm_backward_weight", {a.dw.dtype, a.dy.dtype, a.x.dtype}, true);
  BK_DISPATCH_HOST(stream, grouped_gemm_backward_weight, a);
}

}  // namespace birkhoff
