#include "kernels/reduce/reduce.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void inverse_norm(const ReduceArgs&);
void abs_max(const ReduceArgs&);
void flag_nonfinite(const ReduceArgs&);
}  // namespace cpu
namespace reference {
void inverse_norm(const ReduceArgs&);
void abs_max(const ReduceArgs&);
void flag_nonfinite(const ReduceArgs&);
}  // namespace reference

namespace {

void check(std::string_view op, const ReduceArgs& a, bool out_is_float) {
  BK_CHECK(a.out.count() == 1, op, ": out is ", a.out.shape, ", expected one element");
  BK_CHECK(is_float(a.x.dtype), op, ": x is ", a.x.dtype, ", expected a floating dtype");
  BK_CHECK(out_is_float ? a.out.dtype == DType::f32 || a.out.dtype == DType::f64 : a.out.dtype == DType::i32, op,
           ": out is ", a.out.dtype, ", expected ", out_is_float ? "f32 or f64" : "i32");
}

}  // namespace

void inverse_norm(Stream& stream, const ReduceArgs& a) {
  check("inverse_norm", a, true);
  OpScope scope(stream, "inverse_norm");
  BK_DISPATCH_HOST(stream, inverse_norm, a);
}

void abs_max(Stream& stream, const ReduceArgs& a) {
  check("abs_max", a, true);
  OpScope scope(stream, "abs_max");
  BK_DISPATCH_HOST(stream, abs_max, a);
}

void flag_nonfinite(Stream& stream, const ReduceArgs& a) {
  check("flag_nonfinite", a, false);
  OpScope scope(stream, "flag_nonfinite");
  BK_DISPATCH_HOST(stream, flag_nonfinite, a);
}

}  // namespace birkhoff
