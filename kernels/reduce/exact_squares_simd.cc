#include <cmath>

#include "kernels/core/cpu/lanes.h"
#include "kernels/reduce/exact_squares.h"
#include "kernels/reduce/reduce_simd.h"

// This file is compiled without associative math and without contraction, which would remove the roundings that split
// a number (kernels/CMakeLists.txt).
namespace birkhoff::cpu {
namespace {

[[gnu::always_inline]] inline double load(const double* p) { return *p; }
using birkhoff::load;

constexpr int64_t kBlock = 512;  // squares that stay in the first cache
// Bits of a square that are summed at a time: a sum of kBlock such numbers has 53 bits.
constexpr int kChunk = 44, kLowest = -360;
constexpr double kTooLarge = 0x1p145;  // a sum of kBlock squares stays within the last digit
constexpr int kDoubles = kLanes / 2;
using Doubles [[gnu::vector_size(8 * kDoubles)]] = double;
using Longs [[gnu::vector_size(8 * kDoubles)]] = uint64_t;
using Floats [[gnu::vector_size(4 * kDoubles)]] = float;
using FloatBits [[gnu::vector_size(4 * kDoubles)]] = uint32_t;
using BfloatBits [[gnu::vector_size(2 * kDoubles)]] = uint16_t;

Doubles load_doubles(const double* x) {
  Doubles v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}
Doubles load_doubles(const float* x) {
  Floats v;
  __builtin_memcpy(&v, x, sizeof v);
  return __builtin_convertvector(v, Doubles);
}
Doubles load_doubles(const bfloat16* x) {
  BfloatBits bits;
  __builtin_memcpy(&bits, x, sizeof bits);
  return __builtin_convertvector(reinterpret_cast<Floats>(__builtin_convertvector(bits, FloatBits) << 16), Doubles);
}
double sum(Doubles v) {
  double total = 0;
  for (int lane = 0; lane < kDoubles; ++lane) total += v[lane];
  return total;
}
bool any(Longs v) {
  uint64_t bits = 0;
  for (int lane = 0; lane < kDoubles; ++lane) bits |= v[lane];
  return bits != 0;
}

// Moves from each number what is a multiple of the unit of `large`, 1.5 2^52 units, rounded to nearest, to `sum`. The
// numbers are at most 2^kChunk units, so the sum of a block is exact.
[[gnu::always_inline]] inline void split(Doubles& v, Doubles large, Doubles& sum) {
  const Doubles multiple = (v + large) - large;
  v -= multiple;
  sum += multiple;
}
Doubles large_of(int exponent) { return std::ldexp(0x1.8p52, exponent) + Doubles{}; }

struct TwoSums {
  double high, low;
  bool complete;  // nothing of any square is left
};
// Sums of a whole block of squares in two chunks, without storing the squares. Nearly all blocks need no third chunk.
// Meanwhile the elements at `ahead` are fetched from memory.
template <class T>
TwoSums split_twice(const T* x, int64_t count, int exponent, const T* ahead) {
  const Doubles large = large_of(exponent), larger = large_of(exponent + kChunk);
  Doubles high{}, low{};
  Longs left{};
  for (int64_t i = 0; i < count; i += kDoubles) {
    __builtin_prefetch(ahead + i);
    Doubles v = load_doubles(x + i);
    v *= v;
    split(v, larger, high);
    split(v, large, low);
    left |= reinterpret_cast<Longs>(v) << 1;
  }
  return {sum(high), sum(low), !any(left)};
}

// Splits stored squares at one exponent. Returns whether something is left.
bool split_stored(double* squares, int64_t count, int exponent, double& total) {
  const Doubles large = large_of(exponent);
  Doubles part{};
  Longs left{};
  for (int64_t i = 0; i < count; i += kDoubles) {
    Doubles v = load_doubles(squares + i);
    split(v, large, part);
    left |= reinterpret_cast<Longs>(v) << 1;
    __builtin_memcpy(squares + i, &v, sizeof v);
  }
  total = sum(part);
  return any(left);
}

// Adds a number with at most 53 bits, the lowest of them not below 2^kLowest, to the digits.
void add_to_digits(double sum, double* digits) {
  constexpr int kBits = 30;
  int exponent = 0;
  const double fraction = std::frexp(sum, &exponent);
  auto mantissa = static_cast<int64_t>(fraction * 0x1p53);
  int place = exponent - 53 - kLowest;
  if (place < 0) {  // its low bits are 0
    mantissa >>= -place;
    place = 0;
  }
  // The lowest 30 bits are never negative, the rest keeps the sign.
  int digit = place / kBits, offset = place % kBits;
  for (; mantissa != 0 && mantissa != -1; ++digit, offset = 0) {
    digits[digit] += static_cast<double>((mantissa & ((int64_t{1} << (kBits - offset)) - 1)) << offset);
    mantissa >>= kBits - offset;
  }
  if (mantissa == -1) digits[digit] -= static_cast<double>(int64_t{1} << offset);
}

// Any block: chunk by chunk until nothing is left of the squares.
template <class T>
void add_stored(const T* x, int64_t count, int exponent, double* digits) {
  double squares[kBlock];
  for (int64_t i = 0; i < count; ++i) squares[i] = static_cast<double>(load(x + i)) * load(x + i);
  for (int64_t i = count; i % kDoubles != 0; ++i) squares[i] = 0;
  for (bool rest = true; rest; exponent -= kChunk) {
    const bool last = exponent <= kLowest;
    double total = 0;
    rest = split_stored(squares, count, last ? kLowest : exponent, total) && !last;  // what is lower is rounded away
    add_to_digits(total, digits);
  }
}

template <class T>
void add_block(const T* x, int64_t count, const T* ahead, double* digits) {
  const double largest = reduce_run<kThisIsa, T>().abs_max(x, count);
  if (!(largest < kTooLarge)) {
    digits[0] += largest * HUGE_VAL;
    return;
  }
  if (largest == 0) return;
  const int exponent = 2 * std::ilogb(largest) + 2 - kChunk;  // the squares are below 2^(exponent + kChunk)
  if (count % kDoubles == 0 && exponent - kChunk >= kLowest) {
    const TwoSums sums = split_twice(x, count, exponent - kChunk, ahead);
    if (sums.complete) {
      add_to_digits(sums.high, digits);
      add_to_digits(sums.low, digits);
      return;
    }
  }
  add_stored(x, count, exponent, digits);
}

template <class T>
void add_squares(const T* x, int64_t count, double* digits) {
  for (int64_t i = 0; i < count; i += kBlock) {
    const int64_t size = count - i < kBlock ? count - i : kBlock;
    // Two blocks ahead, as far as x reaches.
    const int64_t ahead = i + 3 * kBlock <= count ? i + 2 * kBlock : i;
    add_block(x + i, size, x + ahead, digits);
  }
}

}  // namespace

template <>
AddSquares<float> squares_run<kThisIsa, float>() {
  return add_squares<float>;
}
template <>
AddSquares<bfloat16> squares_run<kThisIsa, bfloat16>() {
  return add_squares<bfloat16>;
}
template <>
AddSquares<double> squares_run<kThisIsa, double>() {
  return add_squares<double>;
}

}  // namespace birkhoff::cpu
