#include <algorithm>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/elementwise_simd.h"

namespace birkhoff::cpu {
namespace {

AddBlock kernels() {
  static const AddBlock kernels = on_best_isa([]<Isa isa>() { return add_block<isa>(); });
  return kernels;
}

enum class Into { replace, add };

void read(float* sum, Tensor x, int64_t first, int64_t count, double factor, Into into) {
  const auto f = static_cast<float>(factor);
  if (x.dtype == DType::bf16) {
    (into == Into::add ? kernels().add_bf16 : kernels().load_bf16)(sum, x.as<bfloat16>() + first, f, count);
  } else {
    (into == Into::add ? kernels().add_f32 : kernels().load_f32)(sum, x.f32() + first, f, count);
  }
}

void write(Tensor y, int64_t first, int64_t count, const float* sum) {
  if (y.dtype == DType::bf16) {
    kernels().store_bf16(y.as<bfloat16>() + first, sum, count);
  } else {
    kernels().store_f32(y.f32() + first, sum, count);
  }
}

// For every block, calls fill(sum, first, count) and stores the result that it left in sum.
template <class Fill>
void each_block(Tensor y, Fill fill) {
  const int64_t blocks = (y.count() + kAddBlock - 1) / kAddBlock;
  parallel_for(blocks, 16, [&](int64_t begin, int64_t end) {
    alignas(64) float sum[kAddBlock];
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kAddBlock, count = std::min(kAddBlock, y.count() - first);
      fill(sum, first, count);
      write(y, first, count, sum);
    }
  });
}

}  // namespace

void add(const AddArgs& a) {
  each_block(a.y, [&](float* sum, int64_t first, int64_t count) {
    read(sum, a.a, first, count, a.alpha, Into::replace);
    read(sum, a.b, first, count, a.beta, Into::add);
  });
}

void scale(const ScaleArgs& a) {
  double factor = a.alpha;
  if (a.factor.present()) factor *= a.factor.dtype == DType::f64 ? *a.factor.as<double>() : *a.factor.f32();
  each_block(a.y,
             [&](float* sum, int64_t first, int64_t count) { read(sum, a.x, first, count, factor, Into::replace); });
}

}  // namespace birkhoff::cpu
