#include "kernels/loss/cross_entropy_part.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void cross_entropy_statistics(const CrossEntropyStatisticsArgs&);
void cross_entropy_part(const CrossEntropyPartArgs&);
}  // namespace cpu
namespace reference {
void cross_entropy_statistics(const CrossEntropyStatisticsArgs&);
void cross_entropy_part(const CrossEntropyPartArgs&);
}  // namespace reference

namespace {

// Checks what both ops have in common, and returns the number of rows.
template <class Args>
int64_t check_part(const char* op, const Args& a) {
  BK_CHECK(a.logits.shape.rank() == 2, op, ": logits are ", a.logits.shape, ", expected [T,V]");
  const int64_t T = a.logits.shape[0], V = a.logits.shape[1];
  BK_CHECK(a.first >= 0 && a.first + V <= a.vocabulary, op, ": logits of the ids ", a.first, " to ", a.first + V - 1,
           " of a vocabulary of ", a.vocabulary);
  BK_CHECK(a.targets.count() == T && a.targets.dtype == DType::i32, op, ": targets are ", a.targets.dtype,
           a.targets.shape, ", expected i32[", T, "]");
  return T;
}

}  // namespace

void cross_entropy_statistics(Stream& stream, const CrossEntropyStatisticsArgs& a) {
  const int64_t T = check_part("cross_entropy_statistics", a);
  BK_CHECK(a.statistics.shape == Shape({T, 3}), "cross_entropy_statistics: statistics are ", a.statistics.shape,
           ", expected [", T, ",3]");
  OpScope scope(stream, "cross_entropy_statistics");
  BK_DISPATCH_HOST(stream, cross_entropy_statistics, a);
}

void cross_entropy_part(Stream& stream, const CrossEntropyPartArgs& a) {
  const char* const op = "cross_entropy_part";
  const int64_t T = check_part(op, a);
  const Shape s = a.statistics.shape;
  BK_CHECK(s.rank() == 3 && s[0] >= 1 && s[1] == T && s[2] == 3, op, ": statistics are ", s, ", expected [n,", T,
           ",3]");
  BK_CHECK(!a.nll.present() || a.nll.count() == T, op, ": nll is ", a.nll.shape, ", expected [", T, "]");
  const bool weighted = a.loss.present() || a.dlogits.present();
  BK_CHECK(!weighted || a.weight.count() == T, op, ": weight is ", a.weight.shape, ", expected [", T, "]");
  BK_CHECK(!a.loss.present() || a.loss.count() == 1, op, ": loss is ", a.loss.shape, ", expected [1]");
  BK_CHECK(!a.dlogits.present() || a.dlogits.shape == a.logits.shape, op, ": dlogits is ", a.dlogits.shape,
           ", logits are ", a.logits.shape);
  BK_CHECK(a.counted_begin >= 0 && a.counted >= 0 && a.counted_begin + a.counted <= T, op, ": ", a.counted,
           " counted rows from row ", a.counted_begin, " of ", T);
  OpScope scope(stream, "cross_entropy_part");
  BK_DISPATCH_HOST(stream, cross_entropy_part, a);
}

}  // namespace birkhoff
