#include <algorithm>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/error.h"
#include "kernels/moe/expert_order.h"

namespace birkhoff::cpu {
namespace {

constexpr int64_t kPairsPerPart = 8192;

// Replaces the counts [parts, E] by the first row of every (part, expert), and writes the first row of every expert to
// offsets.
void prefix(int64_t* counts, int64_t* offsets, int64_t parts, int64_t E) {
  int64_t row = 0;
  for (int64_t e = 0; e < E; ++e) {
    offsets[e] = row;
    for (int64_t p = 0; p < parts; ++p) {
      const int64_t count = counts[p * E + e];
      counts[p * E + e] = row;
      row += count;
    }
  }
  offsets[E] = row;
}

}  // namespace

void expert_order(const ExpertOrderArgs& a) {
  const int64_t pairs = a.index.count(), K = a.index.shape.back(), E = a.offsets.count() - 1;
  const int64_t parts = (pairs + kPairsPerPart - 1) / kPairsPerPart;
  const int32_t* index = a.index.as<int32_t>();
  int32_t *row_of = a.row_of.as<int32_t>(), *token_of = a.token_of.as<int32_t>();
  Scratch<int64_t> next(parts * E, 0);
  auto each_pair = [&](auto visit) {
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * kPairsPerPart; i < std::min(end * kPairsPerPart, pairs); ++i) {
        visit(i, next.data() + i / kPairsPerPart * E);
      }
    });
  };
  each_pair([&](int64_t i, int64_t* count) {
    BK_ASSERT(index[i] >= -1 && index[i] < E, "expert_order: expert ", index[i], " of ", E);
    if (index[i] >= 0) ++count[index[i]];
  });
  prefix(next.data(), a.offsets.as<int64_t>(), parts, E);
  each_pair([&](int64_t i, int64_t* row) {
    if (index[i] < 0) {
      row_of[i] = -1;
      return;
    }
    const int64_t r = row[index[i]]++;
    row_of[i] = static_cast<int32_t>(r);
    token_of[r] = static_cast<int32_t>(i / K);
  });
}

}  // namespace birkhoff::cpu
