#include "kernels/reduce/combine.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr int64_t kTile = 2048;  // accumulators stay in the L1 cache while the sources pass through it
constexpr int64_t kElementsPerThread = 1 << 16;

template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

template <Reduce reduce, class T>
T join(T a, T b) {
  if constexpr (reduce != Reduce::sum) {
    // If either is NaN, the result is NaN.
    return (reduce == Reduce::max ? b > a : b < a) || b != b ? b : a;
  } else if constexpr (std::is_integral_v<T>) {
    // Unsigned, because a signed sum that overflows is undefined behavior.
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
  } else {
    return a + b;
  }
}

// Makes one pass over the tile per source, so the compiler cannot change the order of the sum, which is that of the
// sources.
template <class T, Reduce reduce>
void combine_tile(T* out, std::span<const void* const> sources, int64_t begin, int64_t count) {
  std::array<Accumulator<T>, kTile> sum;
  const T* first = static_cast<const T*>(sources[0]) + begin;
  for (int64_t i = 0; i < count; ++i) sum[static_cast<size_t>(i)] = static_cast<Accumulator<T>>(first[i]);
  for (const void* source : sources.subspan(1)) {
    const T* next = static_cast<const T*>(source) + begin;
    for (int64_t i = 0; i < count; ++i) {
      Accumulator<T>& s = sum[static_cast<size_t>(i)];
      s = join<reduce>(s, static_cast<Accumulator<T>>(next[i]));
    }
  }
  for (int64_t i = 0; i < count; ++i) out[begin + i] = static_cast<T>(sum[static_cast<size_t>(i)]);
}

template <class T, Reduce reduce>
void combine_all(const CombineArgs& a) {
  parallel_for(a.count, kElementsPerThread, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kTile) {
      combine_tile<T, reduce>(static_cast<T*>(a.out), a.sources, i, std::min(kTile, end - i));
    }
  });
}

template <class T>
void combine_typed(const CombineArgs& a) {
  switch (a.reduce) {
    case Reduce::sum:
      return combine_all<T, Reduce::sum>(a);
    case Reduce::max:
      return combine_all<T, Reduce::max>(a);
    case Reduce::min:
      return combine_all<T, Reduce::min>(a);
  }
}

}  // namespace

std::string_view name_of(Reduce reduce) {
  constexpr std::array<std::string_view, 3> kNames{"sum", "max", "min"};
  return kNames[static_cast<size_t>(reduce)];
}

void combine(const CombineArgs& a) {
  BK_ASSERT(!a.sources.empty());
  switch (a.dtype) {
    case DType::f32:
      return combine_typed<float>(a);
    case DType::bf16:
      return combine_typed<bfloat16>(a);
    case DType::f64:
      return combine_typed<double>(a);
    case DType::i32:
      return combine_typed<int32_t>(a);
    case DType::i64:
      return combine_typed<int64_t>(a);
    case DType::u8:
      return combine_typed<uint8_t>(a);
  }
}

}  // namespace birkhoff
