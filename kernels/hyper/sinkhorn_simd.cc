#include "kernels/core/cpu/lanes.h"
#include "kernels/hyper/hyper_simd.h"

namespace birkhoff::cpu {
namespace {

// Each lane of a register holds one matrix: m[e] is element e of kLanes matrices. If kS is not 0, S is that constant;
// with every function inlined, 4x4 matrices then stay in registers.
static_assert(kLanes <= kSinkhornTile);

// Strides of the lines of a matrix: from one line to the next, and along a line. A line is a row (i fixed) or a column
// (j fixed).
struct Axis {
  int64_t line, along;
};
[[gnu::always_inline]] inline Axis sums_over_outputs(int64_t S) { return {S, 1}; }
[[gnu::always_inline]] inline Axis sums_over_inputs(int64_t S) { return {1, S}; }

[[gnu::always_inline]] inline Lanes exp_lanes(Lanes x) {
  float buffer[kLanes];
  store_lanes(buffer, x);
  for (int l = 0; l < kLanes; ++l) buffer[l] = exp_f32(buffer[l]);
  return load_lanes(buffer);
}

template <int kS>
[[gnu::always_inline]] inline void divide_by_sums(Lanes* m, Lanes* inverse, int64_t size, Axis axis, float eps) {
  const int64_t S = kS ? kS : size;
  for (int64_t line = 0; line < S; ++line) {
    Lanes total = m[line * axis.line] + eps;
    for (int64_t k = 1; k < S; ++k) total += m[line * axis.line + k * axis.along];
    inverse[line] = 1.0f / total;
    for (int64_t k = 0; k < S; ++k) m[line * axis.line + k * axis.along] *= inverse[line];
  }
}

template <int kS>
[[gnu::always_inline]] inline void softmax(Lanes* m, int64_t size, float eps) {
  const int64_t S = kS ? kS : size;
  for (int64_t i = 0; i < S; ++i, m += S) {
    Lanes most = m[0], total{};
    for (int64_t j = 1; j < S; ++j) most = m[j] > most ? m[j] : most;
    for (int64_t j = 0; j < S; ++j) total += m[j] = exp_lanes(m[j] - most);
    for (int64_t j = 0; j < S; ++j) m[j] = m[j] / total + eps;
  }
}

void gather(Lanes* m, const float* rows, int64_t count, int64_t elements) {
  for (int64_t k = 0; k < elements; ++k) {
    float buffer[kLanes];
    for (int64_t l = 0; l < kLanes; ++l) buffer[l] = l < count ? rows[l * elements + k] : 0.0f;
    m[k] = load_lanes(buffer);
  }
}

void scatter(float* rows, const Lanes* m, int64_t count, int64_t elements) {
  for (int64_t k = 0; k < elements; ++k) {
    float buffer[kLanes];
    store_lanes(buffer, m[k]);
    for (int64_t l = 0; l < count; ++l) rows[l * elements + k] = buffer[l];
  }
}

// Runs every iteration on m. Calls `record` after the softmax and after each division, when `inverse` holds the inverse
// sums of that division.
template <int kS, class Record>
[[gnu::always_inline]] inline void iterate(Lanes* m, Lanes* inverse, int64_t S, SinkhornOptions options,
                                           Record record) {
  const auto eps = static_cast<float>(options.eps);
  softmax<kS>(m, S, eps);
  record();
  divide_by_sums<kS>(m, inverse, S, sums_over_inputs(S), eps);
  record();
  for (int i = 1; i < options.iterations; ++i) {
    divide_by_sums<kS>(m, inverse, S, sums_over_outputs(S), eps);
    record();
    divide_by_sums<kS>(m, inverse, S, sums_over_inputs(S), eps);
    record();
  }
}

// Provides a matrix of registers: local if S is known, so that the compiler may keep it out of memory, otherwise in
// `work`.
template <int kS, class Body>
[[gnu::always_inline]] inline void with_matrices(Lanes* work, int64_t size, Body body) {
  if constexpr (kS != 0) {
    Lanes m[kS * kS], inverse[kS];
    body(m, inverse, work);
  } else {
    const int64_t E = size * size;
    body(work, work + E, work + E + size);
  }
}

template <int kS>
void forward(float* comb, const float* logits, int64_t rows, int64_t size, SinkhornOptions options, float* work) {
  const int64_t S = kS ? kS : size, E = S * S;
  with_matrices<kS>(reinterpret_cast<Lanes*>(work), S, [&](Lanes* m, Lanes* inverse, Lanes*) {
    for (int64_t t = 0; t < rows; t += kLanes) {
      const int64_t count = rows - t < kLanes ? rows - t : kLanes;
      gather(m, logits + t * E, count, E);
      iterate<kS>(m, inverse, S, options, [] {});
      scatter(comb + t * E, m, count, E);
    }
  });
}

// The backward of m -> q = m / sums, given q and 1 / sums: g <- (g - sum g q) / sums.
template <int kS>
[[gnu::always_inline]] inline void divide_backward(Lanes* g, const Lanes* quotient, const Lanes* inverse, int64_t size,
                                                   Axis axis) {
  const int64_t S = kS ? kS : size;
  for (int64_t line = 0; line < S; ++line) {
    Lanes dot{};
    for (int64_t k = 0; k < S; ++k) {
      const int64_t e = line * axis.line + k * axis.along;
      dot += g[e] * quotient[e];
    }
    for (int64_t k = 0; k < S; ++k) {
      const int64_t e = line * axis.line + k * axis.along;
      g[e] = (g[e] - dot) * inverse[line];
    }
  }
}

// The backward of the softmax p, given p + eps: g <- p (g - sum_j g p).
template <int kS>
[[gnu::always_inline]] inline void softmax_backward(Lanes* g, const Lanes* shifted, int64_t size, float eps) {
  const int64_t S = kS ? kS : size;
  for (int64_t i = 0; i < S; ++i, g += S, shifted += S) {
    Lanes dot{};
    for (int64_t j = 0; j < S; ++j) dot += g[j] * (shifted[j] - eps);
    for (int64_t j = 0; j < S; ++j) g[j] = (shifted[j] - eps) * (g[j] - dot);
  }
}

// Records the matrix and the inverse sums after every step, then goes back through the steps.
template <int kS>
void backward(float* dlogits, const float* dcomb, const float* logits, int64_t rows, int64_t size,
              SinkhornOptions options, float* work) {
  const int64_t S = kS ? kS : size, E = S * S, stride = E + S;
  with_matrices<kS>(reinterpret_cast<Lanes*>(work), S, [&](Lanes* m, Lanes* inverse, Lanes* record) {
    for (int64_t t = 0; t < rows; t += kLanes) {
      const int64_t count = rows - t < kLanes ? rows - t : kLanes;
      Lanes* step = record;
      gather(m, logits + t * E, count, E);
      for (int64_t i = 0; i < S; ++i) inverse[i] = Lanes{};
      iterate<kS>(m, inverse, S, options, [&] {
        for (int64_t e = 0; e < E; ++e) step[e] = m[e];
        for (int64_t i = 0; i < S; ++i) step[E + i] = inverse[i];
        step += stride;
      });
      Lanes* g = m;
      gather(g, dcomb + t * E, count, E);
      for (step -= stride; step != record;) {
        divide_backward<kS>(g, step, step + E, S, sums_over_inputs(S));
        step -= stride;
        if (step == record) break;
        divide_backward<kS>(g, step, step + E, S, sums_over_outputs(S));
        step -= stride;
      }
      softmax_backward<kS>(g, record, S, static_cast<float>(options.eps));
      scatter(dlogits + t * E, g, count, E);
    }
  });
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
