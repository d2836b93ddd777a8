// Plain loops with the interface of the oneDNN engine. The packed layout is the [K, N] matrix itself.
#include "kernels/core/cpu/matmul.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/error.h"

namespace birkhoff::cpu {
namespace {

template <class Body>
void with_type(DType dtype, Body body) {
  if (dtype == DType::bf16) return body.template operator()<bfloat16>();
  BK_ASSERT(dtype == DType::f32, dtype);
  body.template operator()<float>();
}

template <class In, class Out>
void multiply(const Matmul& s, Out* c, const In* a, const In* b, const float* bias) {
  Scratch<float> row(s.N);
  for (int64_t m = 0; m < s.M; ++m) {
    for (int64_t n = 0; n < s.N; ++n) row[n] = bias ? bias[n] : 0.0f;
    for (int64_t k = 0; k < s.K; ++k) {
      const float v = static_cast<float>(a[m * s.K + k]);
      for (int64_t n = 0; n < s.N; ++n) row[n] += v * static_cast<float>(b[k * s.N + n]);
    }
    for (int64_t n = 0; n < s.N; ++n) {
      Out& out = c[m * s.N + n];
      out = Out(s.accumulate ? static_cast<float>(out) + row[n] : row[n]);
    }
  }
}

}  // namespace

void matmul(const Matmul& s, const MatmulOperands& o) {
  with_type(s.in, [&]<class In>() {
    with_type(s.out, [&]<class Out>() {
      multiply(s, static_cast<Out*>(o.c), static_cast<const In*>(o.a), static_cast<const In*>(o.packed_b), o.bias);
    });
  });
}

size_t packed_bytes(DType to, int64_t K, int64_t N) { return static_cast<size_t>(K * N) * size_of(to); }

void pack(const Packing& p, void* packed, const void* source) {
  with_type(p.from, [&]<class From>() {
    with_type(p.to, [&]<class To>() {
      const From* in = static_cast<const From*>(source);
      for (int64_t k = 0; k < p.K; ++k) {
        for (int64_t n = 0; n < p.N; ++n) {
          const int64_t from = p.transposed ? n * p.K + k : k * p.N + n;
          static_cast<To*>(packed)[k * p.N + n] = To(static_cast<float>(in[from]));
        }
      }
    });
  });
}

}  // namespace birkhoff::cpu
