#pragma once
// The two products of mHC's coefficients that the engine of matrix products computes. Where the processor multiplies
// bf16 and x is bf16, the f32 operand becomes two terms of bf16 side by side, high and low: every product is exact, and
// the operand keeps 16 bits. Else both operands are f32.
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/tensor.h"

namespace birkhoff::cpu {

class FnProducts {
 public:
  // fn [R, N]; x of dtype `x`. Uses the threads of the caller's team.
  FnProducts(Tensor fn, DType x);
  // Terms that a row of fn became; term i of row r is column i * R + r of the products.
  int64_t terms() const { return terms_; }
  int64_t columns() const { return columns_; }
  // Rows of x that are best multiplied together.
  int64_t tile_rows() const;
  // products[t, columns] = <fn, x[t]> on the calling thread.
  void multiply(float* products, const void* x, int64_t rows) const;

 private:
  DType x_;
  int64_t terms_, R_, N_, columns_;
  mutable Scratch<std::byte> packed_;
};

// dfn[R, N] += draw[T, R]^T x[T, N], for x of bf16. False, and nothing done, where the processor has no such products.
bool add_fn_gradient(float* dfn, const float* draw, Tensor x, int64_t R);

}  // namespace birkhoff::cpu
