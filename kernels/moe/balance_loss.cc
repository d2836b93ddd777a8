#include "kernels/moe/balance_loss.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void balance_counts(const BalanceCountsArgs&);
void balance_loss_forward(const BalanceLossArgs&);
void balance_loss_backward(const BalanceLossBackwardArgs&);
}  // namespace cpu
namespace reference {
void balance_counts(const BalanceCountsArgs&);
void balance_loss_forward(const BalanceLossArgs&);
void balance_loss_backward(const BalanceLossBackwardArgs&);
}  // namespace reference

namespace {

void check_sums(const char* op, const char* name, Tensor t, const Shape& expected) {
  BK_CHECK(t.shape == expected && t.dtype == kBalanceSums, op, ": ", name, " is ", t.dtype, t.shape, ", expected ",
           kBalanceSums, expected);
}

void check_num_chosen(const char* op, int64_t num_chosen, int64_t E) {
  BK_CHECK(num_chosen >= 1 && num_chosen <= E, op, ": num_chosen is ", num_chosen, " of ", E, " experts");
}

// Of both ops that read the run's tokens. `per_sequence` is a tensor with a row for each sequence.
template <class Args>
void check_tokens(const char* op, const Args& a, Tensor per_sequence) {
  const int64_t T = a.scores.shape.rows(), Q = per_sequence.shape.rows();
  BK_CHECK(a.first >= 0 && a.length >= 0 && a.first + T <= Q * a.length, op, ": tokens ", a.first, " to ",
           a.first + T - 1, " of ", Q, " sequences of ", a.length, " tokens");
  BK_CHECK(!a.token_mask.present() || (a.token_mask.count() == T && a.token_mask.dtype == DType::u8), op,
           ": token_mask is ", a.token_mask.dtype, a.token_mask.shape, ", expected u8 [", T, "]");
}

}  // namespace

void balance_counts(Stream& stream, const BalanceCountsArgs& a) {
  const char* const op = "balance_counts";
  const int64_t T = a.scores.shape.rows(), E = a.scores.shape.back(), Q = a.counts.shape.rows();
  check_tokens(op, a, a.counts);
  check_sums(op, "probability", a.probability, {Q, E});
  check_sums(op, "counts", a.counts, {Q, E + 1});
  check_num_chosen(op, a.num_chosen, E);
  const Shape choice{T, a.num_chosen};
  for (const Tensor& t : {a.index, a.chosen}) {
    BK_CHECK(!t.present() || (t.shape == choice && t.dtype == DType::i32), op, ": a choice is ", t.dtype, t.shape,
             ", expected i32 ", choice);
  }
  OpScope scope(stream, "balance_counts");
  BK_DISPATCH_HOST(stream, balance_counts, a);
}

void balance_loss_forward(Stream& stream, const BalanceLossArgs& a) {
  const char* const op = "balance_loss";
  const int64_t Q = a.fraction.shape.rows(), E = a.fraction.shape.back();
  BK_CHECK(a.loss.count() == 1, op, ": loss is ", a.loss.shape, ", expected one element");
  check_sums(op, "probability", a.probability, {Q, E});
  check_sums(op, "counts", a.counts, {Q, E + 1});
  check_num_chosen(op, a.num_chosen, E);
  OpScope scope(stream, "balance_loss");
  BK_DISPATCH_HOST(stream, balance_loss_forward, a);
}

void balance_loss_backward(Stream& stream, const BalanceLossBackwardArgs& a) {
  const char* const op = "balance_loss_backward";
  const int64_t Q = a.fraction.shape.rows(), E = a.scores.shape.back();
  check_tokens(op, a, a.fraction);
  BK_CHECK(a.fraction.shape == Shape({Q, E}), op, ": fraction is ", a.fraction.shape, ", expected [", Q, ",", E, "]");
  check_sums(op, "counts", a.counts, {Q, E + 1});
  BK_CHECK(a.dscores.shape == a.scores.shape, op, ": dscores are ", a.dscores.shape, ", scores ", a.scores.shape);
  OpScope scope(stream, "balance_loss_backward");
  BK_DISPATCH_HOST(stream, balance_loss_backward, a);
}

}  // namespace birkhoff
