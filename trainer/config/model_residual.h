#pragma once
#include "trainer/config/setting.h"

namespace birkhoff {

enum class ResidualType { plain, hc, mhc, mhc_single_pass };
inline EnumNames names_of(ResidualType) {
  static constexpr std::string_view names[] = {"plain", "hc", "mhc", "mhc_single_pass"};
  return names;
}

// Source: Zhu et al. 2024, arXiv:2409.19606 (hc); Xie et al. 2025, arXiv:2512.24880 (mhc).
struct ResidualConfig {
  ResidualType type = ResidualType::plain;
  int64_t streams = 4;
  int64_t sinkhorn_iterations = 20;
  double eps = 1e-6;
  double post_factor = 2;
  double alpha_init = 0.01;
  double phi_std = 0.02;
  double mix_diagonal_init = 0;

  void visit(SettingList& s) {
    s("type", type,
      "plain: x + f(x); hc: hyper-connections; mhc: their mixing made doubly stochastic; mhc_single_pass: a sublayer "
      "is "
      "read with the coefficients of the one before");
    s("streams", streams, Limits{1, 8}, "residual streams of hc and mhc");
    s("sinkhorn_iterations", sinkhorn_iterations, Limits{1, 100},
      "normalizations of the mixing matrix, rows and columns");
    s("eps", eps, Limits{0, 0.1}, "added to the read weights and to the sums of the normalizations");
    s("post_factor", post_factor, Limits{0, 100},
      "mhc: most that a stream takes of a sublayer's output, factor of the sigmoid");
    s("alpha_init", alpha_init, Limits{0, 10}, "initial factors of the coefficients that depend on the token");
    s("phi_std", phi_std, Limits{0, 10},
      "standard deviation of the initial coefficient matrix; 0 keeps all streams equal");
    s("mix_diagonal_init", mix_diagonal_init, Limits{-100, 100}, "initial logit of a stream's mix with itself");
  }
  bool operator==(const ResidualConfig&) const = default;
};

struct EngramGateConfig {
  bool root = true;
  double clamp = 1e-6;
  double eps = 0;

  void visit(SettingList& s) {
    s("root", root, "the gate is the sigmoid of the score's signed square root; false: of the score");
    s("clamp", clamp, Limits{1e-12, 1}, "least magnitude of a score under the root");
    s("eps", eps, Limits{0, 0.1}, "added to the mean squares of the two norms of a score; 0: norm_eps");
  }
  bool operator==(const EngramGateConfig&) const = default;
};

// Source: Cheng et al. 2026, arXiv:2601.07372.
struct EngramConfig {
  std::vector<int64_t> layers;
  std::vector<int64_t> orders = {2, 3};
  int64_t num_heads = 8;
  int64_t head_dim = 64;
  std::vector<int64_t> rows_per_head = {65536};
  int64_t seed = 0;
  bool bias = false;
  EngramGateConfig gate;
  bool conv = false;
  int64_t conv_kernel = 4;
  int64_t conv_dilation = 0;
  double conv_eps = 1e-5;
  bool compression = true;
  int64_t pad_id = 0;
  double init_std = 0.02;

  void visit(SettingList& s) {
    s("layers", layers, Limits{0, 10000}, "blocks, counted from 0, that look up n-grams; empty: no Engram");
    s("orders", orders, Limits{2, 8}, "lengths of the n-grams looked up, ascending");
    s("num_heads", num_heads, Limits{1, 64}, "hash heads of an order");
    s("head_dim", head_dim, Limits{1, 65536}, "width of a row of the table");
    s("rows_per_head", rows_per_head, Limits{2, 1e9},
      "each head has the next unused prime number of rows from here on; one number, or one per order");
    s("seed", seed, Limits{0, kMaxInt}, "seed of the hash multipliers");
    s("bias", bias, "a bias on the projection to keys and value");
    s.section("gate", gate, "How the memory's weight follows from its score.");
    s("conv", conv, "short causal convolution over the gated values");
    s("conv_kernel", conv_kernel, Limits{1, 16}, "taps of the convolution");
    s("conv_dilation", conv_dilation, Limits{0, 64}, "tokens from one tap to the next; 0: the largest order");
    s("conv_eps", conv_eps, Limits{0, 0.1}, "added to the mean square in the convolution's norm");
    s("compression", compression, "look up normalized tokens: case, accents and spaces folded");
    s("pad_id", pad_id, Limits{0, 1e9}, "token that stands for what lies before the start of a document");
    s("init_std", init_std, Limits{0, 10}, "standard deviation of the initial rows");
  }
  bool operator==(const EngramConfig&) const = default;
};

}  // namespace birkhoff
