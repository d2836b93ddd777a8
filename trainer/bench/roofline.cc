#include "trainer/bench/roofline.h"

#include <algorithm>

#include "kernels/core/arena.h"
#include "kernels/elementwise/copy.h"
#include "kernels/gemm/tiles.h"
#include "trainer/bench/timing.h"

namespace birkhoff {
namespace {

double product_flops_per_second(DType dtype) {
  constexpr int64_t M = 2048, N = 1024, K = 1024;
  Stream stream{Device{}};
  Arena arena(stream.device);
  const Tensor a = arena.take(dtype, {M, K}), b = arena.take(DType::f32, {K, N}), c = arena.take(dtype, {M, N});
  fill(stream, a, 0.5);
  fill(stream, b, 0.5);
  const Tensor packed = arena.take(DType::u8, {static_cast<int64_t>(cpu::packed_bytes(dtype, K, N))});
  cpu::pack({K, N, DType::f32, dtype}, packed.data, b.data);
  const double s = best_seconds_of([&] { cpu::matmul_rows({M, N, K, dtype, dtype}, {c.data, a.data, packed.data}); });
  return 2.0 * M * N * K / s;
}

double copied_bytes_per_second() {
  constexpr int64_t kCount = int64_t{24} << 20;
  Stream stream{Device{}};
  Arena arena(stream.device);
  const Tensor from = arena.take(DType::f32, {kCount}), to = arena.take(DType::f32, {kCount});
  fill(stream, from, 1);
  fill(stream, to, 2);
  return 2.0 * sizeof(float) * kCount / best_seconds_of([&] { copy(stream, to, from); });
}

}  // namespace

Roofline measure_roofline(DType dtype) { return {product_flops_per_second(dtype), copied_bytes_per_second()}; }

Roofline better(const Roofline& a, const Roofline& b) {
  return {std::max(a.flops_per_second, b.flops_per_second), std::max(a.bytes_per_second, b.bytes_per_second)};
}

}  // namespace birkhoff
