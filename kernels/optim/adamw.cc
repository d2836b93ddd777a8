#include "kernels/optim/adamw.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void adamw(const AdamWArgs&);
void adamw_rows(const AdamWRowsArgs&);
}  // namespace cpu
namespace reference {
void adamw(const AdamWArgs&);
void adamw_rows(const AdamWRowsArgs&);
}  // namespace reference

namespace {

// bf16 has 8 significant bits: a value multiplied by more than 1 - 2^-8 may round back to itself forever.
void check_decay(std::string_view name, Tensor moment, double beta) {
  BK_CHECK(moment.dtype != DType::bf16 || beta <= 1 - 0x1p-8, "adamw: beta is ", beta, ", with which ", name,
           " cannot decay in bf16; store it in f32 or choose a beta of at most ", 1 - 0x1p-8);
}

void check_state(Tensor weight, Tensor m, Tensor v, Tensor weight_copy, const AdamWHyper& hyper) {
  BK_CHECK(m.count() == weight.count() && v.count() == weight.count(), "adamw: weight is ", weight.shape, ", m ",
           m.shape, ", v ", v.shape);
  BK_CHECK(!weight_copy.present() || weight_copy.count() == weight.count(), "adamw: weight is ", weight.shape,
           ", weight_copy ", weight_copy.shape);
  BK_CHECK(hyper.step >= 1, "adamw: step is ", hyper.step, "; steps count from 1");
  check_decay("m", m, hyper.beta1);
  check_decay("v", v, hyper.beta2);
}

}  // namespace

void adamw(Stream& stream, const AdamWArgs& a) {
  check_state(a.weight, a.m, a.v, a.weight_copy, a.hyper);
  BK_CHECK(a.grad.count() == a.weight.count(), "adamw: weight is ", a.weight.shape, ", grad ", a.grad.shape);
  OpScope scope(stream, "adamw");
  BK_DISPATCH_HOST(stream, adamw, a);
}

void adamw_rows(Stream& stream, const AdamWRowsArgs& a) {
  check_state(a.weight, a.m, a.v, a.weight_copy, a.hyper);
  BK_CHECK(a.grad.shape == Shape({a.rows.count(), a.weight.shape.back()}), "adamw_rows: grad is ", a.grad.shape,
           ", rows ", a.rows.shape, ", weight ", a.weight.shape);
  BK_CHECK(a.rows.dtype == DType::i32 || a.rows.dtype == DType::i64, "adamw_rows: rows are ", a.rows.dtype,
           ", expected i32 or i64");
  OpScope scope(stream, "adamw_rows");
  BK_DISPATCH_HOST(stream, adamw_rows, a);
}

}  // namespace birkhoff
