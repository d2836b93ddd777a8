#pragma once
// CUDA builds only. Return codes become BugErrors that say where the call stands.
#include <source_location>

#include <cublasLt.h>
#include <cuda_runtime.h>

namespace birkhoff::cuda {

void check(cudaError_t code, std::source_location where = std::source_location::current());
void check(cublasStatus_t code, std::source_location where = std::source_location::current());

}  // namespace birkhoff::cuda
