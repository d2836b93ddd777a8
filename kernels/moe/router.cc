#include "kernels/moe/router.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void router_forward(const RouterArgs&);
void router_backward(const RouterBackwardArgs&);
}  // namespace cpu
namespace reference {
void router_forward(const RouterArgs&);
void router_backward(const RouterBackwardArgs&);
}  // namespace reference

namespace {

void check_experts(const RouterArgs& a, int64_t T, int64_t E, int64_t K) {
  BK_CHECK(a.logits.shape == Shape({T, E}) && a.scores.shape == a.logits.shape, "router: logits are ", a.logits.shape,
           ", scores ", a.scores.shape, ", expected both [T, E]");
  BK_CHECK(a.index.shape == Shape({T, K}) && a.gate.shape == a.index.shape, "router: index is ", a.index.shape,
           ", gate ", a.gate.shape, ", expected both [T, K] for T = ", T);
  BK_CHECK(a.index.dtype == DType::i32, "router: index is ", a.index.dtype, ", expected i32");
  BK_CHECK(K >= 1 && K <= E, "router: cannot choose ", K, " of ", E, " experts");
}

void check_options(const RouterArgs& a, int64_t T, int64_t E, int64_t K) {
  BK_CHECK(!a.bias.present() || a.bias.shape == Shape{E}, "router: bias is ", a.bias.shape, ", expected [", E, "]");
  BK_CHECK(!a.load.present() || a.load.shape == Shape{E}, "router: load is ", a.load.shape, ", expected [", E, "]");
  BK_CHECK(!a.token_mask.present() || (a.token_mask.shape == Shape{T} && a.token_mask.dtype == DType::u8),
           "router: token_mask is ", a.token_mask.dtype, a.token_mask.shape, ", expected u8 [", T, "]");
  BK_CHECK(!a.chosen.present() || (a.chosen.shape == a.index.shape && a.chosen.dtype == DType::i32),
           "router: chosen is ", a.chosen.dtype, a.chosen.shape, ", expected i32 ", a.index.shape);
  const int64_t groups = a.num_groups, kept = a.num_groups_kept;
  BK_CHECK(groups >= 1 && E % groups == 0, "router: ", groups, " groups do not divide ", E, " experts");
  BK_CHECK(kept >= 1 && kept <= groups && kept * (E / groups) >= K, "router: cannot choose ", K, " experts from ", kept,
           " of ", groups, " groups of ", E / groups);
}

}  // namespace

void router_forward(Stream& stream, const RouterArgs& a) {
  const int64_t T = a.logits.shape.rows(), E = a.logits.shape.back(), K = a.index.shape.back();
  check_experts(a, T, E, K);
  check_options(a, T, E, K);
  OpScope scope(stream, "router");
  BK_DISPATCH_HOST(stream, router_forward, a);
}

void router_backward(Stream& stream, const RouterBackwardArgs& a) {
  const Shape& shape = a.scores.shape;
  BK_CHECK(a.dlogits.shape == shape, "router: dlogits are ", a.dlogits.shape, ", scores ", shape);
  BK_CHECK(!a.dscores.present() || a.dscores.shape == shape, "router: dscores are ", a.dscores.shape, ", scores ",
           shape);
  BK_CHECK(a.dgate.shape == a.index.shape && a.index.shape.rows() == shape.rows(), "router: dgate is ", a.dgate.shape,
           ", index ", a.index.shape, ", scores ", shape);
  OpScope scope(stream, "router_backward");
  BK_DISPATCH_HOST(stream, router_backward, a);
}

}  // namespace birkhoff
