#pragma once
#include <cstdint>
#include <string_view>

namespace birkhoff {

enum class DeviceKind : uint8_t {
  cpu,
  cuda,
  meta,       // only counts, never computes; tensors have no data
  reference,  // host memory; every floating tensor is f64 and every op a plain loop in double: the ground truth
};

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};
std::string_view name_of(DeviceKind kind);

}  // namespace birkhoff
