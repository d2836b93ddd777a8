#include "kernels/core/device.h"

#include <array>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {
constexpr std::array<std::string_view, 4> kNames{"cpu", "cuda", "meta", "reference"};
}

std::string_view name_of(DeviceKind kind) { return kNames[static_cast<size_t>(kind)]; }

DeviceKind device_of(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<DeviceKind>(i);
  }
  throw UserError(concat("'", name, "' is not a device; expected one of cpu, cuda, meta, reference"));
}

}  // namespace birkhoff
