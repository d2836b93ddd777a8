#pragma once
#include <cstdint>
#include <string_view>

namespace birkhoff {

enum class DeviceKind : uint8_t {
  cpu,
  cuda,
  meta,       // counts, never computes: no tensor has data
  reference,  // host memory, every floating tensor f64, every op its plain double loop: the ground truth
};

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};
std::string_view name_of(DeviceKind kind);
// Inverse of name_of. UserError on any other name.
DeviceKind device_of(std::string_view name);

}  // namespace birkhoff
