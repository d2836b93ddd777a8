#include <algorithm>
#include <cstring>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/moe/moe_simd.h"
#include "kernels/moe/permute.h"

namespace birkhoff::cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements
constexpr int64_t kWord = 4;       // bytes of a gate, f32, or of an expert, i32

template <class T>
CombineToken<T> kernels() {
  static const auto kernels = on_best_isa([]<Isa isa>() { return combine_token<isa, T>(); });
  return kernels;
}

// The rows of one token, which all exist.
const int32_t* rows_of(Tensor row_of, int64_t t, Tensor rows) {
  const int64_t K = row_of.shape.back();
  const int32_t* begin = row_of.as<int32_t>() + t * K;
  for (int64_t k = 0; k < K; ++k) {
    BK_ASSERT(begin[k] < rows.shape[0], "row ", begin[k], " of token ", t, " is not one of ", rows.shape[0]);
  }
  return begin;
}

int64_t grain(int64_t elements_per_item) { return 1 + kGrain / std::max<int64_t>(elements_per_item, 1); }

}  // namespace

void permute_forward(const PermuteArgs& a) {
  const auto row_bytes = static_cast<size_t>(a.x.shape.back()) * size_of(a.x.dtype);
  const int32_t* token_of = a.token_of.as<int32_t>();
  auto* rows = static_cast<std::byte*>(a.rows.data);
  const auto* x = static_cast<const std::byte*>(a.x.data);
  if (row_bytes == 0) return;
  parallel_for(a.token_of.count(), grain(a.x.shape.back()), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      std::memcpy(rows + static_cast<size_t>(r) * row_bytes, x + static_cast<size_t>(token_of[r]) * row_bytes,
                  row_bytes);
    }
  });
}

void combine_forward(const CombineRowsArgs& a) {
  const int64_t T = a.y.shape.rows(), C = a.y.shape.back(), K = a.row_of.shape.back();
  const float* gate = a.gate.present() ? a.gate.f32() : nullptr;
  with_activation_type(a.y.dtype, [&]<class E>() {
    const E* base = a.base.present() ? a.base.as<E>() : nullptr;
    parallel_for(T, grain(K * C), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        kernels<E>().forward(a.y.as<E>() + t * C, base ? base + t * C : nullptr, a.rows.as<E>(),
                             gate ? gate + t * K : nullptr, rows_of(a.row_of, t, a.rows), K, C);
      }
    });
  });
}

void permute_backward(const PermuteBackwardArgs& a) { combine_forward({a.dx, a.drows, {}, {}, a.row_of}); }

void combine_backward(const CombineRowsBackwardArgs& a) {
  const int64_t T = a.dy.shape.rows(), C = a.dy.shape.back(), K = a.row_of.shape.back();
  const bool gated = a.gate.present();
  with_activation_type(a.dy.dtype, [&]<class E>() {
    const E* rows = gated ? a.rows.as<E>() : nullptr;
    parallel_for(T, grain(K * C), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        kernels<E>().backward(a.drows.as<E>(), gated ? a.dgate.f32() + t * K : nullptr, a.dy.as<E>() + t * C, rows,
                              gated ? a.gate.f32() + t * K : nullptr, rows_of(a.row_of, t, a.drows), K, C);
      }
    });
  });
}

void permute_gate_forward(const PermuteGateArgs& a) {
  const int32_t* row_of = a.row_of.as<int32_t>();
  parallel_for(a.row_of.count(), kGrain, [&](int64_t begin, int64_t end) {
    const auto* gate = static_cast<const std::byte*>(a.gate.data);
    auto* rows = static_cast<std::byte*>(a.gate_rows.data);
    for (int64_t p = begin; p < end; ++p) {
      if (row_of[p] >= 0) std::memcpy(rows + row_of[p] * kWord, gate + p * kWord, kWord);
    }
  });
}

void permute_gate_backward(const PermuteGateBackwardArgs& a) {
  const int32_t* row_of = a.row_of.as<int32_t>();
  parallel_for(a.row_of.count(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) a.dgate.f32()[p] = row_of[p] < 0 ? 0 : a.dgate_rows.f32()[row_of[p]];
  });
}

}  // namespace birkhoff::cpu
