#pragma once
#include "kernels/core/enum_names.h"

namespace birkhoff {

// What to do with a sample or a line that cannot be read: end with an error, or go on without it.
enum class BadData { fail, skip };
inline EnumNames names_of(BadData) {
  static constexpr std::string_view names[] = {"fail", "skip"};
  return names;
}

}  // namespace birkhoff
