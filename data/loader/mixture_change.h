#pragma once
#include "kernels/core/enum_names.h"

namespace birkhoff {

// What to do with a cursor of another seed or mixture: refuse it, or restart the quotas and let every source with a
// name in the cursor continue at its recorded position.
enum class MixtureChange { refuse, restart };
inline EnumNames names_of(MixtureChange) {
  static constexpr std::string_view names[] = {"refuse", "restart"};
  return names;
}

}  // namespace birkhoff
