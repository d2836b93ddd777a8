#include "kernels/loss/head_loss.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "kernels/loss/cross_entropy.h"

namespace birkhoff {
namespace {

constexpr int64_t kChunkBytes = int64_t{16} << 20, kMinRows = 64;

Tensor part(Tensor rows, int64_t begin, int64_t num) { return rows.present() ? rows.rows(begin, num) : rows; }

}  // namespace

int64_t head_loss_rows(int64_t V) {
  const int64_t rows = kChunkBytes / (static_cast<int64_t>(sizeof(float)) * std::max<int64_t>(V, 1));
  return std::max(kMinRows, rows / kMinRows * kMinRows);
}

void head_loss(Stream& stream, Arena& arena, LinearGemms& gemms, const HeadLossArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back(), V = a.head.value.shape[0];
  BK_CHECK(a.targets.count() == T, "head_loss: ", a.targets.count(), " targets for ", T, " tokens");
  BK_CHECK(!a.dx.present() || (a.dx.shape == a.x.shape && a.dx.dtype == a.x.dtype), "head_loss: dx is ", a.dx.dtype,
           a.dx.shape, ", x is ", a.x.dtype, a.x.shape);
  const int64_t chunk = std::min(T, head_loss_rows(V));
  if (chunk == 0) return;
  const bool learns = a.dx.present() || a.dhead.present();
  const ArenaScope temporaries(arena);
  const Tensor logits = arena.take(DType::f32, {chunk, V});
  const Tensor dlogits = !learns ? Tensor{} : a.x.dtype == logits.dtype ? logits : arena.take(a.x.dtype, {chunk, V});
  for (int64_t t = 0; t < T; t += chunk) {
    const int64_t rows = std::min(chunk, T - t);
    const Tensor x = a.x.view({T, C}).rows(t, rows), y = logits.rows(0, rows), dy = part(dlogits, 0, rows);
    gemms.forward(stream, y, x, a.head);
    cross_entropy(stream, {.loss = a.loss,
                           .nll = part(a.nll, t, rows),
                           .dlogits = dy,
                           .logits = y,
                           .targets = part(a.targets, t, rows),
                           .weight = part(a.weight, t, rows),
                           .z_loss = a.z_loss});
    // dhead comes first: it reads x, which dx may overwrite.
    if (a.dhead.present()) gemms.backward_weight(stream, a.dhead, dy, x);
    if (a.dx.present()) gemms.backward_input(stream, a.dx.view({T, C}).rows(t, rows), dy, a.head);
  }
}

}  // namespace birkhoff
