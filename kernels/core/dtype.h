#pragma once
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string_view>

#include "kernels/core/bfloat16.h"

namespace birkhoff {

enum class DType : uint8_t { f32, bf16, f64, i32, i64, u8 };

size_t size_of(DType dtype);
std::string_view name_of(DType dtype);
// Inverse of name_of. UserError on any other name.
DType dtype_of(std::string_view name);
bool is_float(DType dtype);
std::ostream& operator<<(std::ostream& out, DType dtype);

template <class T>
inline constexpr DType kDTypeOf = [] {
  static_assert(sizeof(T) == 0, "no DType for this C++ type");
  return DType::f32;
}();
template <>
inline constexpr DType kDTypeOf<float> = DType::f32;
template <>
inline constexpr DType kDTypeOf<bfloat16> = DType::bf16;
template <>
inline constexpr DType kDTypeOf<double> = DType::f64;
template <>
inline constexpr DType kDTypeOf<int32_t> = DType::i32;
template <>
inline constexpr DType kDTypeOf<int64_t> = DType::i64;
template <>
inline constexpr DType kDTypeOf<uint8_t> = DType::u8;

}  // namespace birkhoff
