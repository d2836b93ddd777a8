#include "kernels/hyper/sinkhorn_simd.h"

#include "kernels/core/cpu/simd.h"

namespace birkhoff::cpu {
namespace {

// Matrices lie transposed, element k of matrix l at [k * L + l], so that each loop over l is one vector operation.
constexpr int64_t L = kSinkhornTile;

// Where elements of one line stand: line i over j, or line j over i.
struct Axis {
  int64_t line, along;
};
Axis sums_over_outputs(int64_t S) { return {S, 1}; }
Axis sums_over_inputs(int64_t S) { return {1, S}; }
Axis axis_of_step(int64_t step, int64_t S) { return step % 2 ? sums_over_inputs(S) : sums_over_outputs(S); }

// S is kS where that is not 0, so that the compiler unrolls.
template <int kS>
[[gnu::always_inline]] inline void divide_by_sums(float* out, float* inverse, const float* m, int64_t size, Axis axis,
                                                  float eps) {
  const int64_t S = kS ? kS : size;
  for (int64_t line = 0; line < S; ++line) {
    float total[L];
    for (int64_t l = 0; l < L; ++l) total[l] = eps;
    for (int64_t k = 0; k < S; ++k) {
      const float* e = m + (line * axis.line + k * axis.along) * L;
      for (int64_t l = 0; l < L; ++l) total[l] += e[l];
    }
    for (int64_t l = 0; l < L; ++l) inverse[line * L + l] = 1.0f / total[l];
    for (int64_t k = 0; k < S; ++k) {
      const int64_t e = (line * axis.line + k * axis.along) * L;
      for (int64_t l = 0; l < L; ++l) out[e + l] = m[e + l] * inverse[line * L + l];
    }
  }
}

template <int kS>
[[gnu::always_inline]] inline void softmax(float* m, int64_t size, float eps) {
  const int64_t S = kS ? kS : size;
  for (int64_t i = 0; i < S; ++i, m += S * L) {
    float most[L], total[L];
    for (int64_t l = 0; l < L; ++l) most[l] = m[l], total[l] = 0;
    for (int64_t j = 1; j < S; ++j) {
      for (int64_t l = 0; l < L; ++l) most[l] = m[j * L + l] > most[l] ? m[j * L + l] : most[l];
    }
    for (int64_t j = 0; j < S; ++j) {
      for (int64_t l = 0; l < L; ++l) total[l] += m[j * L + l] = exp_f32(m[j * L + l] - most[l]);
    }
    for (int64_t j = 0; j < S; ++j) {
      for (int64_t l = 0; l < L; ++l) m[j * L + l] = m[j * L + l] / total[l] + eps;
    }
  }
}

void gather(float* m, const float* rows, int64_t count, int64_t elements) {
  for (int64_t k = 0; k < elements; ++k) {
    for (int64_t l = 0; l < L; ++l) m[k * L + l] = l < count ? rows[l * elements + k] : 0.0f;
  }
}

void scatter(float* rows, const float* m, int64_t count, int64_t elements) {
  for (int64_t l = 0; l < count; ++l) {
    for (int64_t k = 0; k < elements; ++k) rows[l * elements + k] = m[k * L + l];
  }
}

template <int kS>
void forward(float* comb, const float* logits, int64_t rows, int64_t size, SinkhornOptions options, float* work) {
  const int64_t S = kS ? kS : size, E = S * S;
  float *m = work, *inverse = work + E * L;
  for (int64_t t = 0; t < rows; t += L) {
    const int64_t count = rows - t < L ? rows - t : L;
    gather(m, logits + t * E, count, E);
    softmax<kS>(m, S, options.eps);
    for (int64_t step = 1; step < 2 * options.iterations; ++step) {
      divide_by_sums<kS>(m, inverse, m, S, axis_of_step(step, S), options.eps);
    }
    scatter(comb + t * E, m, count, E);
  }
}

// Through m -> m / sums, given the quotient q: g <- (g - sum g q) / sums.
template <int kS>
[[gnu::always_inline]] inline void divide_backward(float* g, const float* quotient, const float* inverse, int64_t size,
                                                   Axis axis) {
  const int64_t S = kS ? kS : size;
  for (int64_t line = 0; line < S; ++line) {
    float dot[L] = {};
    for (int64_t k = 0; k < S; ++k) {
      const int64_t e = (line * axis.line + k * axis.along) * L;
      for (int64_t l = 0; l < L; ++l) dot[l] += g[e + l] * quotient[e + l];
    }
    for (int64_t k = 0; k < S; ++k) {
      const int64_t e = (line * axis.line + k * axis.along) * L;
      for (int64_t l = 0; l < L; ++l) g[e + l] = (g[e + l] - dot[l]) * inverse[line * L + l];
    }
  }
}

// g <- p (g - sum_j g p), with p + eps given.
template <int kS>
[[gnu::always_inline]] inline void softmax_backward(float* g, const float* shifted, int64_t size, float eps) {
  const int64_t S = kS ? kS : size;
  for (int64_t i = 0; i < S; ++i, g += S * L, shifted += S * L) {
    float dot[L] = {};
    for (int64_t j = 0; j < S; ++j) {
      for (int64_t l = 0; l < L; ++l) dot[l] += g[j * L + l] * (shifted[j * L + l] - eps);
    }
    for (int64_t j = 0; j < S; ++j) {
      for (int64_t l = 0; l < L; ++l) g[j * L + l] = (shifted[j * L + l] - eps) * (g[j * L + l] - dot[l]);
    }
  }
}

// Every step is recorded: the matrix after it and the inverse sums.
template <int kS>
void backward(float* dlogits, const float* dcomb, const float* logits, int64_t rows, int64_t size,
              SinkhornOptions options, float* work) {
  const int64_t S = kS ? kS : size, E = S * S, stride = (E + S) * L, steps = 2 * options.iterations;
  float* g = work + steps * stride;
  for (int64_t t = 0; t < rows; t += L) {
    const int64_t count = rows - t < L ? rows - t : L;
    gather(work, logits + t * E, count, E);
    gather(g, dcomb + t * E, count, E);
    softmax<kS>(work, S, options.eps);
    for (int64_t step = 1; step < steps; ++step) {
      float* m = work + step * stride;
      divide_by_sums<kS>(m, m + E * L, m - stride, S, axis_of_step(step, S), options.eps);
    }
    for (int64_t step = steps - 1; step > 0; --step) {
      const float* m = work + step * stride;
      divide_backward<kS>(g, m, m + E * L, S, axis_of_step(step, S));
    }
    softmax_backward<kS>(g, work, S, options.eps);
    scatter(dlogits + t * E, g, count, E);
  }
}

void forward_any(float* comb, const float* logits, int64_t rows, int64_t S, SinkhornOptions options, float* work) {
  return S == 4 ? forward<4>(comb, logits, rows, S, options, work) : forward<0>(comb, logits, rows, S, options, work);
}
void backward_any(float* dlogits, const float* dcomb, const float* logits, int64_t rows, int64_t S,
                  SinkhornOptions options, float* work) {
  return S == 4 ? backward<4>(dlogits, dcomb, logits, rows, S, options, work)
                : backward<0>(dlogits, dcomb, logits, rows, S, options, work);
}

}  // namespace

template <>
SinkhornRows sinkhorn_rows<kThisIsa>() {
  return {forward_any, backward_any};
}

}  // namespace birkhoff::cpu
