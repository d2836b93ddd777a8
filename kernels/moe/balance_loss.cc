#include "kernels/moe/balance_loss.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void balance_loss_forward(const BalanceLossArgs&);
void balance_loss_backward(const BalanceLossBackwardArgs&);
}  // namespace cpu
namespace reference {
void balance_loss_forward(const BalanceLossArgs&);
void balance_loss_backward(const BalanceLossBackwardArgs&);
}  // namespace reference

namespace {

void check(Tensor scores, Tensor fraction, Tensor mask, int64_t length) {
  const int64_t T = scores.shape.rows(), E = scores.shape.back();
  BK_CHECK(length >= 1 && T % length == 0, "balance_loss: sequences of ", length, " tokens do not divide ", T);
  BK_CHECK(fraction.shape == Shape({T / length, E}), "balance_loss: fraction is ", fraction.shape, ", expected [",
           T / length, ",", E, "]");
  BK_CHECK(!mask.present() || (mask.count() == T && mask.dtype == DType::u8), "balance_loss: token_mask is ",
           mask.dtype, mask.shape, ", expected u8 [", T, "]");
}

}  // namespace

void balance_loss_forward(Stream& stream, const BalanceLossArgs& a) {
  check(a.scores, a.fraction, a.token_mask, a.length);
  BK_CHECK(a.loss.count() == 1, "balance_loss: loss is ", a.loss.shape, ", expected one element");
  BK_CHECK(a.num_chosen >= 1 && a.num_chosen <= a.scores.shape.back(), "balance_loss: num_chosen is ", a.num_chosen,
           ", scores are ", a.scores.shape);
  const Shape choice{a.scores.shape.rows(), a.num_chosen};
  for (const Tensor& t : {a.index, a.chosen}) {
    BK_CHECK(!t.present() || (t.shape == choice && t.dtype == DType::i32), "balance_loss: a choice is ", t.dtype,
             t.shape, ", expected i32 ", choice);
  }
  OpScope scope(stream, "balance_loss");
  BK_DISPATCH_HOST(stream, balance_loss_forward, a);
}

void balance_loss_backward(Stream& stream, const BalanceLossBackwardArgs& a) {
  check(a.scores, a.fraction, a.token_mask, a.length);
  BK_CHECK(a.dscores.shape == a.scores.shape, "balance_loss: dscores are ", a.dscores.shape, ", scores ",
           a.scores.shape);
  OpScope scope(stream, "balance_loss_backward");
  BK_DISPATCH_HOST(stream, balance_loss_backward, a);
}

}  // namespace birkhoff
