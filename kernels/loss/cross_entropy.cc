#include "kernels/loss/cross_entropy.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void cross_entropy(const CrossEntropyArgs&);
}
namespace reference {
void cross_entropy(const CrossEntropyArgs&);
}

void cross_entropy(Stream& stream, const CrossEntropyArgs& a) {
  const int64_t T = a.logits.shape.rows();
  const auto per_row = [T](Tensor t) { return t.count() == T; };
  BK_CHECK(per_row(a.targets) && a.targets.dtype == DType::i32, "cross_entropy: targets are ", a.targets.dtype,
           a.targets.shape, ", expected i32[", T, "]");
  BK_CHECK(!a.nll.present() || per_row(a.nll), "cross_entropy: nll is ", a.nll.shape, ", expected [", T, "]");
  const bool weighted = a.loss.present() || a.dlogits.present();
  BK_CHECK(!weighted || per_row(a.weight), "cross_entropy: weight is ", a.weight.shape, ", expected [", T, "]");
  BK_CHECK(!a.loss.present() || a.loss.count() == 1, "cross_entropy: loss is ", a.loss.shape, ", expected [1]");
  BK_CHECK(!a.dlogits.present() || a.dlogits.count() == a.logits.count(), "cross_entropy: dlogits is ", a.dlogits.shape,
           ", logits are ", a.logits.shape);
  OpScope scope(stream, "cross_entropy");
  if (a.logits.count() == 0) return;
  BK_DISPATCH_HOST(stream, cross_entropy, a);
}

}  // namespace birkhoff
