#include "kernels/core/device.h"

#include <array>

namespace birkhoff {
namespace {
constexpr std::array<std::string_view, 4> kNames{"cpu", "cuda", "meta", "reference"};
}

std::string_view name_of(DeviceKind kind) { return kNames[static_cast<size_t>(kind)]; }

}  // namespace birkhoff
