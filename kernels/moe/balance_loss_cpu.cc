#include <algorithm>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/error.h"
#include "kernels/moe/balance_loss.h"
#include "kernels/moe/top_k_cpu.h"

namespace birkhoff::cpu {
namespace {

// Tokens of one partial sum. The number is fixed, so the order of summation does not depend on the number of threads.
constexpr int64_t kTokensPerPart = 128;

const uint8_t* mask_of(Tensor mask) { return mask.present() ? mask.as<uint8_t>() : nullptr; }

int64_t tokens_of(const uint8_t* mask, int64_t first, int64_t count) {
  return mask ? count - std::count(mask + first, mask + first + count, uint8_t{0}) : count;
}

float sum_of(const float* values, int64_t count) {
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += values[i];
  return sum;
}

// Sums p and counts the choices of tokens [first, first + count).
void add_tokens(float* p, float* chosen, const BalanceCountsArgs& a, int64_t first, int64_t count) {
  const int64_t E = a.scores.shape.back(), K = a.num_chosen;
  const uint8_t* mask = mask_of(a.token_mask);
  Scratch<int32_t> index(K);
  Scratch<float> value(K);
  for (int64_t t = first; t < first + count; ++t) {
    if (mask && mask[t] == 0) {
      if (a.index.present()) std::fill_n(a.index.as<int32_t>() + t * K, K, -1);
      continue;
    }
    const float* s = a.scores.f32() + t * E;
    const float scale = 1 / sum_of(s, E);
    TopK best(index.data(), value.data(), K);
    for (int64_t e = 0; e < E; ++e) {
      p[e] += s[e] * scale;
      best.offer(static_cast<int32_t>(e), s[e]);
    }
    if (a.chosen.present()) std::copy_n(a.chosen.as<int32_t>() + t * K, K, index.data());
    if (a.index.present()) std::copy_n(index.data(), K, a.index.as<int32_t>() + t * K);
    for (int64_t k = 0; k < K; ++k) {
      BK_ASSERT(index[k] >= 0 && index[k] < E, "balance_loss: expert ", index[k], " of ", E, " was chosen");
      chosen[index[k]] += 1;
    }
  }
}

// The tokens of the run that belong to sequence q, [begin, begin + count), as places in the run.
struct Piece {
  int64_t begin, count;
  template <class Args>
  Piece(const Args& a, int64_t q) {
    const int64_t T = a.scores.shape.rows();
    begin = std::clamp<int64_t>(q * a.length - a.first, 0, T);
    count = std::clamp<int64_t>((q + 1) * a.length - a.first, 0, T) - begin;
  }
};

// Adds the parts of one sequence.
void finish_sequence(const BalanceCountsArgs& a, int64_t q, const float* p, const float* chosen, int64_t parts) {
  const int64_t E = a.scores.shape.back();
  const Piece piece(a, q);
  double *probability = a.probability.as<double>() + q * E, *counts = a.counts.as<double>() + q * (E + 1);
  for (int64_t e = 0; e < E; ++e) {
    double total = 0, picks = 0;
    for (int64_t i = 0; i < parts; ++i) {
      total += p[i * E + e];
      picks += chosen[i * E + e];
    }
    probability[e] = total;
    counts[e] = picks;
  }
  counts[E] = static_cast<double>(tokens_of(mask_of(a.token_mask), piece.begin, piece.count));
}

// Writes the fractions of one sequence and returns sum_e fraction * P.
double loss_of_sequence(float* fraction, const double* probability, const double* counts, int64_t E, int64_t K) {
  const double n = counts[E], scale = n > 0 ? static_cast<double>(E) / (static_cast<double>(K) * n) : 0;
  double loss = 0;
  for (int64_t e = 0; e < E; ++e) {
    fraction[e] = static_cast<float>(scale * counts[e]);
    loss += n > 0 ? scale * counts[e] * probability[e] / n : 0;
  }
  return loss;
}

float factor_of(double alpha, double weight) { return static_cast<float>(static_cast<float>(alpha) * weight); }

}  // namespace

void balance_counts(const BalanceCountsArgs& a) {
  const int64_t E = a.scores.shape.back(), sequences = a.counts.shape[0];
  const int64_t parts = (std::min(a.length, a.scores.shape.rows()) + kTokensPerPart - 1) / kTokensPerPart;
  Scratch<float> p(sequences * parts * E, 0.0f), chosen(sequences * parts * E, 0.0f);
  parallel_for(sequences * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece piece(a, i / parts);
      const int64_t first = i % parts * kTokensPerPart, count = std::min(kTokensPerPart, piece.count - first);
      if (count > 0) add_tokens(p.data() + i * E, chosen.data() + i * E, a, piece.begin + first, count);
    }
  });
  for (int64_t q = 0; q < sequences; ++q) {
    const int64_t first = q * parts * E;
    finish_sequence(a, q, p.data() + first, chosen.data() + first, parts);
  }
}

void balance_loss_forward(const BalanceLossArgs& a) {
  const int64_t Q = a.fraction.shape[0], E = a.fraction.shape[1];
  double loss = 0;
  for (int64_t q = 0; q < Q; ++q) {
    loss += loss_of_sequence(a.fraction.f32() + q * E, a.probability.as<double>() + q * E,
                             a.counts.as<double>() + q * (E + 1), E, a.num_chosen);
  }
  *a.loss.f32() += static_cast<float>(factor_of(a.alpha, a.weight) * loss);
}

void balance_loss_backward(const BalanceLossBackwardArgs& a) {
  const int64_t T = a.scores.shape.rows(), E = a.scores.shape.back(), Q = a.fraction.shape[0];
  const uint8_t* mask = mask_of(a.token_mask);
  Scratch<float> factor(Q);
  for (int64_t q = 0; q < Q; ++q) {
    // Infinite for a sequence whose tokens are all masked, but then no token uses it.
    factor[q] = factor_of(a.alpha, a.weight) / static_cast<float>(a.counts.as<double>()[q * (E + 1) + E]);
  }
  parallel_for(T, 1 + 16384 / std::max<int64_t>(E, 1), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t q = (a.first + t) / a.length;
      const float *s = a.scores.f32() + t * E, *fraction = a.fraction.f32() + q * E;
      float* d = a.dscores.f32() + t * E;
      if (mask && mask[t] == 0) {
        std::fill_n(d, E, 0.0f);
        continue;
      }
      float dot = 0;
      for (int64_t e = 0; e < E; ++e) dot += fraction[e] * s[e];
      const float sum = sum_of(s, E), scale = factor[q] / sum, mean = dot / sum;
      for (int64_t e = 0; e < E; ++e) d[e] = scale * (fraction[e] - mean);
    }
  });
}

}  // namespace birkhoff::cpu
