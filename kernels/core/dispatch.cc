#include "kernels/core/dispatch.h"

namespace birkhoff {

void throw_no_cuda_kernel(std::string_view op) {
  if constexpr (kWithCuda) throw UserError(concat(op, " has no CUDA kernel yet; run on the cpu device"));
  throw UserError(concat(op, ": this build has no CUDA backend; configure with -DBIRKHOFF_CUDA=ON"));
}

}  // namespace birkhoff
