#pragma once
#include <gtest/gtest.h>

#include "kernels/core/cuda_memory.h"

namespace birkhoff::test {

// Fixture of tests that need a CUDA device. They are skipped if there is none. For CUDA builds.
class CudaTest : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device, or no driver for it";
  }
};

}  // namespace birkhoff::test
