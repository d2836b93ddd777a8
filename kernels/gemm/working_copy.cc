#include "kernels/gemm/working_copy.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {

std::byte* WorkingCopy::refresh(Stream& stream, const Weight& w, size_t size, const Make& make) {
  if (!memory_ || memory_->device() != stream.device || copy_.bytes() != size) {
    memory_.emplace(stream.device, size);
    copy_ = memory_->take(DType::u8, {static_cast<int64_t>(size)});
    version_.reset();
  }
  if (version_ != w.version) {
    OpScope scope(stream, "pack_weight");
    if (stream.device.kind != DeviceKind::meta) make(static_cast<std::byte*>(copy_.data));
    version_ = w.version;
  }
  return static_cast<std::byte*>(copy_.data);
}

}  // namespace birkhoff
