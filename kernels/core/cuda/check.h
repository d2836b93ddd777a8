#pragma once
// CUDA builds only. Return codes become BugErrors that say where the call stands.

#include <cublasLt.h>
#include <cuda_runtime.h>

#include "kernels/core/source_location.h"

namespace birkhoff::cuda {

void check(cudaError_t code, SourceLocation where = SourceLocation::current());
void check(cublasStatus_t code, SourceLocation where = SourceLocation::current());

}  // namespace birkhoff::cuda
