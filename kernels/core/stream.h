#pragma once
#include <cstdint>
#include <iosfwd>
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

// Sees every op that a stream runs, on every device: profilers time them, the meta device counts their work.
class OpObserver {
 public:
  virtual ~OpObserver() = default;
  virtual void begin(std::string_view op) = 0;
  virtual void end() = 0;
  // Multiply-adds of a matrix product count two. Reported by the matrix and attention ops, between begin and end.
  virtual void flops(double count) = 0;
};

// Where, and in which order, work runs. Not shared between threads.
struct Stream {
  Device device;
  void* handle = nullptr;  // cudaStream_t on cuda
  OpObserver* observer = nullptr;

  void count_flops(double count) const {
    if (observer) observer->flops(count);
  }
};

// Returns when all work given to the stream is done.
void synchronize(Stream& stream);

}  // namespace birkhoff
