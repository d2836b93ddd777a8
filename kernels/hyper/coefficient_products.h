#pragma once
// The two matrix products in mHC's coefficients. If x is bf16 and the processor multiplies bf16, the f32 operand is
// split into two bf16 terms side by side, high and low: every product is then exact, and the operand keeps 16 bits of
// precision. Otherwise both operands are f32.
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/tensor.h"

namespace birkhoff::cpu {

class FnProducts {
 public:
  // fn is [R, N]; x will have dtype `x`. Uses the threads of the caller's team.
  FnProducts(Tensor fn, DType x);
  // The number of terms of each row of fn. Term i of row r is column i * R + r of the products.
  int64_t terms() const { return terms_; }
  int64_t columns() const { return columns_; }
  // The number of rows of x to multiply at a time for the best speed.
  int64_t tile_rows() const;
  // products[t, columns] = <fn, x[t]>, on the calling thread.
  void multiply(float* products, const void* x, int64_t rows) const;

 private:
  DType x_;
  int64_t terms_, R_, N_, columns_;
  mutable Scratch<std::byte> packed_;
};

// dfn[R, N] += draw[T, R]^T x[T, N], for x of bf16. Does nothing and returns false if x is not bf16 or has no rows, or
// if the processor does not multiply bf16.
bool add_fn_gradient(float* dfn, const float* draw, Tensor x, int64_t R);

}  // namespace birkhoff::cpu
