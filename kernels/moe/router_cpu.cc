#include <algorithm>
#include <limits>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/error.h"
#include "kernels/moe/moe_simd.h"
#include "kernels/moe/router.h"
#include "kernels/moe/top_k_cpu.h"

namespace birkhoff::cpu {
namespace {

RouterRows rows_kernels() {
  static const RouterRows kernels = on_best_isa([]<Isa isa>() { return router_rows<isa>(); });
  return kernels;
}

int64_t grain(int64_t E) { return 1 + 8192 / std::max<int64_t>(E, 1); }

// Chooses the experts of one token at a time. Holds the temporaries of one thread.
class Selector {
 public:
  Selector(const RouterArgs& a, int64_t E, int64_t K)
      : bias_(a.bias.present() ? a.bias.f32() : nullptr),
        groups_(a.num_groups),
        kept_(a.num_groups_kept),
        group_size_(E / a.num_groups),
        K_(K),
        biased_(E),
        value_(std::max(K, kept_)),
        kept_index_(kept_) {}

  void choose(int32_t* index, const float* scores) {
    for (int64_t e = 0; e < groups_ * group_size_; ++e) biased_[e] = scores[e] + (bias_ ? bias_[e] : 0.0f);
    const bool all = kept_ == groups_;
    if (!all) choose_groups();
    TopK best(index, value_.data(), K_);
    for (int64_t i = 0; i < kept_; ++i) {
      const int64_t first = (all ? i : kept_index_[i]) * group_size_;
      for (int64_t e = first; e < first + group_size_; ++e) best.offer(static_cast<int32_t>(e), biased_[e]);
    }
  }

 private:
  // Chooses the groups to keep and sorts them in ascending order, so that ties between experts go to the smaller index.
  void choose_groups() {
    TopK best(kept_index_.data(), value_.data(), kept_);
    for (int64_t g = 0; g < groups_; ++g) best.offer(static_cast<int32_t>(g), group_score(g));
    std::sort(kept_index_.data(), kept_index_.data() + kept_);
  }
  float group_score(int64_t group) {
    int32_t index[2];
    float value[2] = {0, 0};
    TopK best(index, value, std::min<int64_t>(2, group_size_));
    for (int64_t e = 0; e < group_size_; ++e) best.offer(static_cast<int32_t>(e), biased_[group * group_size_ + e]);
    return value[0] + value[1];
  }

  const float* bias_;
  int64_t groups_, kept_, group_size_, K_;
  Scratch<float> biased_, value_;
  Scratch<int32_t> kept_index_;
};

void copy_chosen(int32_t* index, const int32_t* chosen, int64_t K, int64_t E) {
  for (int64_t k = 0; k < K; ++k) {
    BK_ASSERT(chosen[k] >= 0 && chosen[k] < E, "router: expert ", chosen[k], " of ", E, " was chosen");
    index[k] = chosen[k];
  }
}

void set_gates(float* gate, const float* s, const int32_t* index, int64_t K, const RouterArgs& a) {
  const auto route_scale = static_cast<float>(a.route_scale);
  float sum = 1e-20f;
  for (int64_t k = 0; k < K; ++k) sum += s[index[k]];
  for (int64_t k = 0; k < K; ++k) gate[k] = route_scale * (a.renormalize ? s[index[k]] / sum : s[index[k]]);
}

template <class Count>
void add_load(Count* load, const RouterArgs& a, int64_t T, int64_t K) {
  const uint8_t* mask = a.token_mask.present() ? a.token_mask.as<uint8_t>() : nullptr;
  for (int64_t t = 0; t < T; ++t) {
    if (mask && mask[t] == 0) continue;
    for (int64_t k = 0; k < K; ++k) load[a.index.as<int32_t>()[t * K + k]] += 1;
  }
}

// For one token, adds the gradient of the scores through the gates.
void add_gate_gradient(float* ds, const float* dgate, const float* s, const int32_t* index, int64_t K,
                       const RouterBackwardArgs& a) {
  const auto route_scale = static_cast<float>(a.route_scale);
  if (!a.renormalize) {
    for (int64_t k = 0; k < K; ++k) ds[index[k]] += route_scale * dgate[k];
    return;
  }
  float sum = 1e-20f, mean = 0;
  for (int64_t k = 0; k < K; ++k) sum += s[index[k]];
  for (int64_t k = 0; k < K; ++k) mean += dgate[k] * (s[index[k]] / sum);
  for (int64_t k = 0; k < K; ++k) ds[index[k]] += route_scale * (dgate[k] - mean) / sum;
}

}  // namespace

void router_forward(const RouterArgs& a) {
  const int64_t T = a.logits.shape.rows(), E = a.logits.shape.back(), K = a.index.shape.back();
  float *scores = a.scores.f32(), *gate = a.gate.f32();
  int32_t* index = a.index.as<int32_t>();
  const int32_t* chosen = a.chosen.present() ? a.chosen.as<int32_t>() : nullptr;
  parallel_for(T, grain(E), [&](int64_t begin, int64_t end) {
    Selector selector(a, E, K);
    rows_kernels().forward(scores + begin * E, a.logits.f32() + begin * E, end - begin, E, a.score);
    for (int64_t t = begin; t < end; ++t) {
      if (chosen) {
        copy_chosen(index + t * K, chosen + t * K, K, E);
      } else {
        selector.choose(index + t * K, scores + t * E);
      }
      set_gates(gate + t * K, scores + t * E, index + t * K, K, a);
    }
  });
  if (!a.load.present()) return;
  if (a.load.dtype == DType::i64) return add_load(a.load.as<int64_t>(), a, T, K);
  add_load(a.load.f32(), a, T, K);
}

void router_backward(const RouterBackwardArgs& a) {
  const int64_t T = a.scores.shape.rows(), E = a.scores.shape.back(), K = a.index.shape.back();
  const float *scores = a.scores.f32(), *dgate = a.dgate.f32();
  const float* dscores = a.dscores.present() ? a.dscores.f32() : nullptr;
  float* dlogits = a.dlogits.f32();
  parallel_for(T, grain(E), [&](int64_t begin, int64_t end) {
    const int64_t first = begin * E, count = (end - begin) * E;
    if (!dscores) std::fill_n(dlogits + first, count, 0.0f);
    if (dscores && dscores != dlogits) std::copy_n(dscores + first, count, dlogits + first);
    for (int64_t t = begin; t < end; ++t) {
      add_gate_gradient(dlogits + t * E, dgate + t * K, scores + t * E, a.index.as<int32_t>() + t * K, K, a);
    }
    rows_kernels().backward(dlogits + first, scores + first, end - begin, E, a.score);
  });
}

}  // namespace birkhoff::cpu
