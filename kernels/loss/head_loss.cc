#include "kernels/loss/head_loss.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "kernels/loss/cross_entropy.h"
#include "kernels/loss/cross_entropy_part.h"

namespace birkhoff {
namespace {

constexpr int64_t kChunkBytes = int64_t{16} << 20, kMinRows = 64;

// Ids of the largest part.
int64_t ids_of_largest(const VocabularyPart& p) { return (p.vocabulary + p.num_parts - 1) / p.num_parts; }

Tensor some_rows(Tensor all, int64_t begin, int64_t num) { return all.present() ? all.rows(begin, num) : all; }

// Rows [begin, begin + num) of all tokens, and where their logits are.
struct Chunk {
  int64_t begin, num;
  Tensor logits, dlogits;
};

void loss_of_chunk(Stream& stream, const HeadLossArgs& a, const Chunk& c) {
  cross_entropy(stream, {.loss = a.loss,
                         .nll = some_rows(a.nll, c.begin, c.num),
                         .dlogits = c.dlogits,
                         .logits = c.logits,
                         .targets = some_rows(a.targets, c.begin, c.num),
                         .weight = some_rows(a.weight, c.begin, c.num),
                         .z_loss = a.z_loss});
}

// `statistics` has room for those of this part and of all parts, of the rows of a chunk.
void loss_of_chunk_of_part(Stream& stream, const HeadLossArgs& a, const Chunk& c, Tensor statistics) {
  const VocabularyPart& p = *a.part;
  const Tensor own = statistics.flat(0, c.num * 3).view({c.num, 3});
  const Tensor all = statistics.flat(c.num * 3, p.num_parts * c.num * 3).view({p.num_parts, c.num, 3});
  const Tensor targets = some_rows(a.targets, c.begin, c.num);
  cross_entropy_statistics(
      stream,
      {.statistics = own, .logits = c.logits, .targets = targets, .first = p.first, .vocabulary = p.vocabulary});
  p.gather(stream, all, own);
  // The counted rows of this chunk.
  const int64_t begin = std::clamp(p.counted_begin - c.begin, int64_t{0}, c.num);
  const int64_t end = std::clamp(p.counted_begin + p.counted - c.begin, int64_t{0}, c.num);
  cross_entropy_part(stream, {.loss = a.loss,
                              .nll = some_rows(a.nll, c.begin, c.num),
                              .dlogits = c.dlogits,
                              .logits = c.logits,
                              .statistics = all,
                              .targets = targets,
                              .weight = some_rows(a.weight, c.begin, c.num),
                              .first = p.first,
                              .vocabulary = p.vocabulary,
                              .counted_begin = begin,
                              .counted = end - begin,
                              .z_loss = a.z_loss});
}

void check(const HeadLossArgs& a) {
  const int64_t T = a.x.shape.rows(), V = a.head.value.shape[0];
  BK_CHECK(a.targets.count() == T, "head_loss: ", a.targets.count(), " targets for ", T, " tokens");
  const bool has_type = a.dx.dtype == a.x.dtype || a.dx.dtype == DType::f32;
  BK_CHECK(!a.dx.present() || (a.dx.shape == a.x.shape && has_type), "head_loss: dx is ", a.dx.dtype, a.dx.shape,
           ", x is ", a.x.dtype, a.x.shape);
  if (a.part == nullptr) return;
  const VocabularyPart& p = *a.part;
  BK_CHECK(p.num_parts >= 1 && V <= ids_of_largest(p) && p.first >= 0 && p.first + V <= p.vocabulary,
           "head_loss: a part with the ids ", p.first, " to ", p.first + V - 1, " of a vocabulary of ", p.vocabulary,
           " in ", p.num_parts, " parts");
  BK_CHECK(p.counted_begin >= 0 && p.counted >= 0 && p.counted_begin + p.counted <= T, "head_loss: ", p.counted,
           " counted rows from row ", p.counted_begin, " of ", T);
}

}  // namespace

int64_t head_loss_rows(int64_t V) {
  const int64_t rows = kChunkBytes / (static_cast<int64_t>(sizeof(float)) * std::max<int64_t>(V, 1));
  return std::max(kMinRows, rows / kMinRows * kMinRows);
}

void head_loss(Stream& stream, Arena& arena, LinearGemms& gemms, const HeadLossArgs& a) {
  check(a);
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back(), V = a.head.value.shape[0];
  const int64_t chunk = std::min(T, head_loss_rows(a.part == nullptr ? V : ids_of_largest(*a.part)));
  if (chunk == 0) return;
  const bool learns = a.dx.present() || a.dhead.present();
  const ArenaScope temporaries(arena);
  const Tensor logits = arena.take(DType::f32, {chunk, V});
  const Tensor dlogits = !learns ? Tensor{} : a.x.dtype == logits.dtype ? logits : arena.take(a.x.dtype, {chunk, V});
  const Tensor statistics =
      a.part == nullptr ? Tensor{} : arena.take(DType::f32, {(1 + a.part->num_parts) * chunk * 3});
  for (int64_t t = 0; t < T; t += chunk) {
    const int64_t rows = std::min(chunk, T - t);
    const Tensor x = a.x.view({T, C}).rows(t, rows), y = logits.rows(0, rows), dy = some_rows(dlogits, 0, rows);
    const Tensor dx = a.dx.present() ? a.dx.view({T, C}).rows(t, rows) : Tensor{};
    // A part without ids has no products. It still exchanges its statistics and counts rows.
    if (V > 0) gemms.forward(stream, y, x, a.head);
    if (a.part == nullptr) {
      loss_of_chunk(stream, a, {t, rows, y, dy});
    } else {
      loss_of_chunk_of_part(stream, a, {t, rows, y, dy}, statistics);
    }
    // dhead comes first: it reads x, which dx may overwrite.
    if (a.dhead.present() && V > 0) gemms.backward_weight(stream, a.dhead, dy, x);
    if (dx.present() && V > 0) gemms.backward_input(stream, dx, dy, a.head);
    if (dx.present() && V == 0) fill_zero(stream, dx);
  }
}

}  // namespace birkhoff
