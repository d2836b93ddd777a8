#include "kernels/core/dtype.h"

#include <array>
#include <ostream>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {
struct Row {
  std::string_view name;
  size_t size;
};
constexpr std::array<Row, 6> kRows{{{"f32", 4}, {"bf16", 2}, {"f64", 8}, {"i32", 4}, {"i64", 8}, {"u8", 1}}};
}  // namespace

size_t size_of(DType dtype) { return kRows[static_cast<size_t>(dtype)].size; }

std::string_view name_of(DType dtype) { return kRows[static_cast<size_t>(dtype)].name; }

DType dtype_of(std::string_view name) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<DType>(i);
  }
  throw UserError(concat("'", name, "' is not a dtype; expected one of f32, bf16, f64, i32, i64, u8"));
}

bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f64; }

std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name_of(dtype); }

}  // namespace birkhoff
