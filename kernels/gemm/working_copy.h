#pragma once
#include <functional>
#include <optional>

#include "kernels/core/arena.h"
#include "kernels/gemm/precision.h"

namespace birkhoff {

// Bytes derived from a weight (packed, rounded or quantized), rebuilt when the weight's version changes. On the meta
// device, only their number is recorded.
class WorkingCopy {
 public:
  // Returns the copy of `w`. If it is out of date, calls `make(copy)` to fill it, except on the meta device.
  using Make = std::function<void(std::byte* copy)>;
  std::byte* refresh(Stream& stream, const Weight& w, size_t size, const Make& make);
  size_t bytes() const { return memory_ ? memory_->used_bytes() : 0; }

 private:
  std::optional<Arena> memory_;
  Tensor copy_;
  std::optional<uint64_t> version_;
};

}  // namespace birkhoff
