#pragma once
// The one place where a backend is chosen. An op is a function `x(Stream&, const XArgs&)` that checks its arguments
// once and then dispatches to cpu::x(args), reference::x(args) or cuda::x(stream, args). The meta device does nothing.
#include <string_view>

#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"
#include "kernels/core/stream.h"

namespace birkhoff {

// Tells the stream's observer, if there is one, when an op begins and ends.
class OpScope {
 public:
  OpScope(Stream& stream, std::string_view op) : observer_(stream.observer) {
    if (observer_) observer_->begin(op);
  }
  ~OpScope() {
    if (observer_) observer_->end();
  }
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;

 private:
  OpObserver* observer_;
};

[[noreturn]] void throw_no_cuda_kernel(std::string_view op);

}  // namespace birkhoff

// Runs `fn` on the stream's device. BK_DISPATCH_HOST is for an op that has no CUDA twin yet. The branch of an absent
// backend is a discarded statement, so a build without CUDA needs no definition of cuda::fn.
#define BK_DISPATCH(stream, fn, args)                  \
  do {                                                 \
    switch ((stream).device.kind) {                    \
      case ::birkhoff::DeviceKind::meta:               \
        return;                                        \
      case ::birkhoff::DeviceKind::cpu:                \
        return ::birkhoff::cpu::fn(args);              \
      case ::birkhoff::DeviceKind::reference:          \
        return ::birkhoff::reference::fn(args);        \
      case ::birkhoff::DeviceKind::cuda:               \
        if constexpr (::birkhoff::kWithCuda)           \
          return ::birkhoff::cuda::fn((stream), args); \
        else                                           \
          ::birkhoff::throw_no_cuda_kernel(#fn);       \
    }                                                  \
  } while (0)

#define BK_DISPATCH_HOST(stream, fn, args)      \
  do {                                          \
    switch ((stream).device.kind) {             \
      case ::birkhoff::DeviceKind::meta:        \
        return;                                 \
      case ::birkhoff::DeviceKind::cpu:         \
        return ::birkhoff::cpu::fn(args);       \
      case ::birkhoff::DeviceKind::reference:   \
        return ::birkhoff::reference::fn(args); \
      case ::birkhoff::DeviceKind::cuda:        \
        ::birkhoff::throw_no_cuda_kernel(#fn);  \
    }                                           \
  } while (0)
