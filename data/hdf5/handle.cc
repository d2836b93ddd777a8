#include "data/hdf5/handle.h"

#include <hdf5.h>

#include "data/hdf5/check.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// The innermost frame comes first, since it names the cause. The outer ones name the calls that failed because of it.
herr_t append_frame(unsigned depth, const H5E_error2_t* frame, void* text) {
  auto& out = *static_cast<std::string*>(text);
  if (depth < 4 && frame->desc != nullptr) out += concat(depth == 0 ? "" : " <- ", frame->func_name, ": ", frame->desc);
  return 0;
}

}  // namespace

std::recursive_mutex& hdf5_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

void silence_h5() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

int64_t check_h5(int64_t result, const std::string& what) {
  if (result >= 0) return result;
  std::string stack;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, append_frame, &stack);
  H5Eclear2(H5E_DEFAULT);
  throw DataError(concat(what, ": HDF5: ", stack.empty() ? "no reason given" : stack));
}

H5Handle& H5Handle::operator=(H5Handle&& other) noexcept {
  std::swap(id_, other.id_);
  return *this;
}

void H5Handle::release() noexcept {
  if (id_ < 0) return;
  const std::scoped_lock lock(hdf5_mutex());
  H5Idec_ref(id_);
  id_ = -1;
}

}  // namespace birkhoff
