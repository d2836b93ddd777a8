#pragma once
// CUDA builds only. A return code other than success becomes a BugError with the file and line of the call.

#include <cublasLt.h>
#include <cuda_runtime.h>

namespace birkhoff::cuda {

void check(cudaError_t code, const char* file = __builtin_FILE(), int line = __builtin_LINE());
void check(cublasStatus_t code, const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace birkhoff::cuda
