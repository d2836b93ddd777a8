#include "kernels/hyper/gain.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"

namespace birkhoff {
namespace cpu {
void hyper_gain(const HyperGainArgs&);
}
namespace reference {
void hyper_gain(const HyperGainArgs&);
}

void hyper_gain(Stream& stream, const HyperGainArgs& a) {
  BK_CHECK(!a.combs.empty(), "hyper_gain: no sites");
  const Shape s = a.combs[0].shape;
  BK_CHECK(s.rank() == 3 && s[1] == s[2], "hyper_gain: comb is ", s, ", expected [T,S,S]");
  for (const Tensor& comb : a.combs) check_shape("hyper_gain", "comb", comb, s);
  check_activation("hyper_gain", "sums", a.sums, {3}, DType::f64);
  if (a.token_mask.present()) check_activation("hyper_gain", "token_mask", a.token_mask, {s[0]}, DType::u8);
  OpScope scope(stream, "hyper_gain");
  BK_DISPATCH_HOST(stream, hyper_gain, a);
}

}  // namespace birkhoff
