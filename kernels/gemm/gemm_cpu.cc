#include "kernels/core/cpu/scratch.h"
#include "kernels/core/cpu/transpose.h"
#include "kernels/gemm/shapes.h"
#include "kernels/gemm/tiles.h"

namespace birkhoff::cpu {

void gemm(const GemmArgs& a) {
  const GemmSizes s = sizes_of(a);
  const DType in = a.a.dtype;
  Scratch<std::byte> packed(static_cast<int64_t>(packed_bytes(in, s.K, s.N)));
  pack({s.K, s.N, in, in, a.transpose_b}, packed.data(), a.b.data);
  Scratch<std::byte> turned(a.transpose_a ? static_cast<int64_t>(a.a.bytes()) : 0);
  if (a.transpose_a) transpose({s.K, s.M, in}, turned.data(), a.a.data);
  matmul_rows({s.M, s.N, s.K, in, a.c.dtype, a.accumulate}, a.c.data, a.transpose_a ? turned.data() : a.a.data,
              packed.data());
}

}  // namespace birkhoff::cpu
