#pragma once
// The precision recipe. No other code knows the formats of weights and activations in a matrix product: a layer gets
// its matrix products and the dtype of its activations from Precision, and names no dtype itself.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "kernels/core/dtype.h"
#include "kernels/core/enum_names.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"
#include "kernels/gemm/fp8.h"

namespace birkhoff {

enum class Recipe : uint8_t {
  f32,
  bf16,       // activations and working copies of weights bf16; sums, master weights and their gradients f32
  fp8_block,  // activations are stored in bf16, products use E4M3 codes: see kernels/gemm/fp8_gemm.h
};
inline EnumNames names_of(Recipe) {
  static constexpr std::string_view names[] = {"f32", "bf16", "fp8_block"};
  return names;
}
// Of the scales of fp8_block.
inline EnumNames names_of(ScaleFormat) {
  static constexpr std::string_view names[] = {"f32", "ue8m0"};
  return names;
}

// The purpose of a product, which limits how far the recipe may lower its precision.
enum class GemmRole : uint8_t {
  linear,  // the recipe's own format
  head,    // never below bf16: output head, embedding-like projections
  exact,   // f32 operands whatever the recipe: router logits
};

// A master weight and the version of its content. Code that changes the content must set a version that was not used
// before: working copies (packed, rounded, quantized) are rebuilt when the version changes, that is, once a step.
struct Weight {
  Tensor value;  // f32 [O, I], or [E, O, I] for experts
  uint64_t version = 0;
  Tensor bias = {};  // f32 [O] or absent; only used by the forward of a linear layer
};

// The three products of one linear layer, with the working copies of its weight.
//   forward          y[t,o]  = sum_i x[t,i] w[o,i] (+ bias[o])
//   backward_input   dx[t,i] = sum_o dy[t,o] w[o,i]
//   backward_weight  dw[o,i] += sum_t dy[t,o] x[t,i]
//
// Shapes:  x, dx [T, I]; y, dy [T, O]; w, dw [O, I]. Activations of higher rank are read as [rows, last dim].
// Types:   x, dy of the recipe's activation dtype; y, dx that dtype or f32; dw f32, accumulates. With GemmRole::exact
//          each of x, dx, y, dy is bf16 or f32. On the reference device all tensors are f64 and all products exact,
//          whatever the recipe.
// Errors:  UserError if a shape or dtype disagrees.
// One object serves one stream at a time.
class LinearGemms {
 public:
  virtual ~LinearGemms() = default;
  virtual void forward(Stream& stream, Tensor y, Tensor x, const Weight& w) = 0;
  virtual void backward_input(Stream& stream, Tensor dx, Tensor dy, const Weight& w) = 0;
  virtual void backward_weight(Stream& stream, Tensor dw, Tensor dy, Tensor x) = 0;
  // Bytes of the working copies held now. The meta device holds nothing and returns what the cpu device would hold.
  virtual size_t bytes() const = 0;
};

// The same for a layer of experts, with rows sorted by expert and offsets i64 [E+1] as in grouped_gemm.h.
// Shapes:  x, dx [R, I]; y, dy [R, O]; w, dw [E, O, I].
class GroupedGemms {
 public:
  virtual ~GroupedGemms() = default;
  virtual void forward(Stream& stream, Tensor y, Tensor x, const Weight& w, Tensor offsets) = 0;
  virtual void backward_input(Stream& stream, Tensor dx, Tensor dy, const Weight& w, Tensor offsets) = 0;
  virtual void backward_weight(Stream& stream, Tensor dw, Tensor dy, Tensor x, Tensor offsets) = 0;
  virtual size_t bytes() const = 0;
};

class Precision {
 public:
  // `scales` is the format of the block scales of fp8_block.
  explicit Precision(Recipe recipe, ScaleFormat scales = ScaleFormat::f32) : recipe_(recipe), scales_(scales) {}
  Recipe recipe() const { return recipe_; }
  // The dtype of activations and of their gradients.
  DType activation() const;
  // Everything that is not an activation has one dtype in every recipe.
  static constexpr DType master() { return DType::f32; }     // weights, their gradients, rows of tables
  static constexpr DType statistic() { return DType::f32; }  // norms, scores, gates, mixing weights, losses
  static constexpr DType load() { return DType::i64; }     // tokens of experts; sums over ranks are exact at any number
  static constexpr DType index() { return DType::i32; }    // tokens, experts, rows of a step
  static constexpr DType narrow() { return DType::bf16; }  // what travels between ranks, where that is asked for
  static constexpr DType offset() { return DType::i64; }   // first rows of groups, rows of a table
  // Objects for a weight [O, I] or [E, O, I].
  std::unique_ptr<LinearGemms> linear(int64_t O, int64_t I, GemmRole role = GemmRole::linear) const;
  std::unique_ptr<GroupedGemms> grouped(int64_t E, int64_t O, int64_t I) const;

 private:
  Recipe recipe_;
  ScaleFormat scales_;
};

}  // namespace birkhoff
