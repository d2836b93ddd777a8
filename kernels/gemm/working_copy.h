#pragma once
#include <functional>
#include <optional>

#include "kernels/core/arena.h"
#include "kernels/gemm/precision.h"

namespace birkhoff {

// Bytes derived from a weight (packed, rounded or quantized), made anew when the weight's version changes. On the meta
// device they are counted only.
class WorkingCopy {
 public:
  // The copy of `w`. If it is out of date, `make(copy)` fills it; not called on the meta device.
  using Make = std::function<void(std::byte* copy)>;
  std::byte* refresh(Stream& stream, const Weight& w, size_t size, const Make& make);
  size_t bytes() const { return memory_ ? memory_->used_bytes() : 0; }

 private:
  std::optional<Arena> memory_;
  Tensor copy_;
  std::optional<uint64_t> version_;
};

}  // namespace birkhoff
