#include "trainer/nn/parameter.h"

#include <array>

namespace birkhoff {

std::string_view name_of(Role role) {
  static constexpr std::array<std::string_view, 8> kNames{"matrix", "experts", "embedding", "head",
                                                          "gain",   "bias",    "gate",      "conv"};
  return kNames[static_cast<size_t>(role)];
}

}  // namespace birkhoff
