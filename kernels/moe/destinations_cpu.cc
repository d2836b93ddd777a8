#include <algorithm>

#include "kernels/core/cpu/parallel.h"
#include "kernels/moe/destinations.h"

namespace birkhoff::cpu {
namespace {

constexpr int64_t kGrain = 4096;  // tokens

bool counts(Tensor mask, int64_t t) { return !mask.present() || mask.as<uint8_t>()[t] != 0; }

// The rank that holds the expert, or -1.
int32_t holder(int64_t expert, int64_t first, int64_t each, int64_t num_ranks) {
  if (expert < first || expert >= first + each * num_ranks) return -1;
  return static_cast<int32_t>((expert - first) / each);
}

}  // namespace

void pair_destinations(const PairDestinationsArgs& a) {
  const int64_t K = a.index.shape.back();
  const int32_t* index = a.index.as<int32_t>();
  int32_t* to = a.to.as<int32_t>();
  parallel_for(a.index.shape.rows(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const bool travels = counts(a.token_mask, t);
      for (int64_t p = t * K; p < (t + 1) * K; ++p) {
        to[p] = travels ? holder(index[p], a.first, a.each, a.num_ranks) : -1;
      }
    }
  });
}

void token_destinations(const TokenDestinationsArgs& a) {
  const int64_t K = a.index.shape.back(), D = a.to.shape.back();
  const int32_t* index = a.index.as<int32_t>();
  parallel_for(a.index.shape.rows(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int32_t* to = a.to.as<int32_t>() + t * D;
      std::fill_n(to, D, -1);
      if (!counts(a.token_mask, t)) continue;
      for (int64_t k = 0; k < K; ++k) {
        const int32_t d = holder(index[t * K + k], a.first, a.each, D);
        if (d >= 0) to[d] = d;
      }
    }
  });
}

void own_experts(const OwnExpertsArgs& a) {
  const int32_t* index = a.index.as<int32_t>();
  int32_t* own = a.own.as<int32_t>();
  for (int64_t i = 0; i < a.index.count(); ++i) {
    const int64_t number = index[i] - a.first;
    own[i] = number >= 0 && number < a.count ? static_cast<int32_t>(number) : -1;
  }
}

}  // namespace birkhoff::cpu
