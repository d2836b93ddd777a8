#pragma once
#include <span>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// A sum of squares as fixed-point number with a digit of 30 bits per f64:
//   sum = sum_k digits[k] 2^(30 k - 360),   k = 0 ... 21
// Every digit is an integer, so the digits of several sums may be added in any order without rounding. Whatever way the
// elements of a logical tensor are divided between ranks, the added digits stand for the same number.
inline constexpr int kSquareDigits = 22;

// digits = those of sum_i x[i]^2, overwritten. Squares are rounded to f64 (those of f32 and bf16 are exact) and then to
// multiples of 2^-360, each by itself; all squares of f32 are such multiples.
//
// Shapes:  x any; digits [kSquareDigits].
// Types:   x f32, bf16 or f64; digits f64.
// Range:   |digits[k]| <= 2^30 except the last, so 2^20 sums can be added. If a value is not finite, or not below 2^145
//          in magnitude, digits[0] is NaN or infinite.
// Aliases: none.
// Errors:  UserError if a shape or a dtype disagrees.
// Cost:    reads x once; bound by memory bandwidth.
// Source:  derived here. Rump, Ogita and Oishi, Accurate Floating-Point Summation Part I, SIAM J. Sci. Comput. 31
//          (2008), algorithm 3.2, split numbers in this way: by adding and subtracting a large one.
struct ExactSquaresArgs {
  Tensor digits;
  Tensor x;
};
void exact_squares(Stream& stream, const ExactSquaresArgs& args);

// The number that digits on the host stand for, within 2^-52 of it. Equal numbers give equal bits, even if their digits
// differ. NaN or infinite if digits[0] is.
double value_of_digits(std::span<const double> digits);

}  // namespace birkhoff
