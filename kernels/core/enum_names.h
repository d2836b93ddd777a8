#pragma once
#include <span>
#include <string_view>
#include <type_traits>

#include "kernels/core/error.h"

namespace birkhoff {

// The names of an enumeration that a user writes or reads, in the order of its enumerators. Define names_of() next to
// the enumeration, so that the two change together and argument-dependent lookup finds it:
//   enum class BadData { fail, skip };
//   inline EnumNames names_of(BadData) {
//     static constexpr std::string_view names[] = {"fail", "skip"};
//     return names;
//   }
using EnumNames = std::span<const std::string_view>;

template <class E>
requires std::is_enum_v<E> std::string_view name_of(E value) {
  const EnumNames names = names_of(value);
  const auto i = static_cast<size_t>(value);
  BK_ASSERT(i < names.size(), "an enumerator has no name");
  return names[i];
}

// The value of that name, one of those of the enumeration. Errors: BugError if there is none.
template <class E>
requires std::is_enum_v<E> E value_of(std::string_view name) {
  const EnumNames names = names_of(E{});
  size_t i = 0;
  while (i < names.size() && names[i] != name) ++i;
  BK_ASSERT(i < names.size(), "'", name, "' is not one of the names");
  return static_cast<E>(i);
}

}  // namespace birkhoff
