#include "kernels/moe/bias_update.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void router_bias_update(const RouterBiasUpdateArgs&);
}  // namespace cpu
namespace reference {
void router_bias_update(const RouterBiasUpdateArgs&);
}  // namespace reference

void router_bias_update(Stream& stream, const RouterBiasUpdateArgs& a) {
  BK_CHECK(a.bias.count() == a.load.count(), "router_bias_update: bias is ", a.bias.shape, ", load ", a.load.shape);
  OpScope scope(stream, "router_bias_update");
  BK_DISPATCH_HOST(stream, router_bias_update, a);
}

}  // namespace birkhoff
