#pragma once
#include "kernels/engram/gate.h"
#include "trainer/setting/setting.h"

namespace birkhoff {

inline void visit(SettingList& s, EngramGateOptions& gate) {
  s("root", gate.root, "the gate is the sigmoid of the score's signed square root; false: of the score");
  s.unused_if(!gate.root, "root is false", [&] {
    s("clamp", gate.clamp, Limits{1e-12, 1}, "least magnitude of a score under the root");
  });
  s("eps", gate.eps, Limits{0, 0.1}, "added to the mean squares of the two norms of a score; 0: norm_eps");
}

// The conditional memory of a model: the layers that have it, the hashing that addresses its rows (done in
// data/loader), and the module that reads them. Source: Cheng et al. 2026, arXiv:2601.07372.
struct EngramOptions {
  std::vector<int64_t> layers;
  std::vector<int64_t> orders = {2, 3};
  int64_t num_heads = 8;
  int64_t head_dim = 64;
  std::vector<int64_t> rows_per_head = {65536};
  int64_t seed = 0;
  bool bias = false;
  EngramGateOptions gate{.eps = 0};
  bool conv = false;
  int64_t conv_kernel = 4;
  int64_t conv_dilation = 0;  // 0: filled in by the config reader; modules need the number
  double conv_eps = 1e-5;
  bool compression = true;
  int64_t pad_id = 0;
  double init_std = 0.02;

  // Number of rows that a token looks up: one per order and hash head.
  int64_t rows_per_token() const { return static_cast<int64_t>(orders.size()) * num_heads; }

  // Number of earlier tokens that the convolution looks back to.
  int64_t halo() const { return conv ? (conv_kernel - 1) * conv_dilation : 0; }

  void visit(SettingList& s) {
    s("layers", layers, Limits{0, 10000}, "blocks, counted from 0, that look up n-grams; empty: no Engram");
    s.unused_if(layers.empty(), "layers is empty", [&] {
      s("orders", orders, Limits{2, 8}, "lengths of the n-grams looked up, ascending");
      s("num_heads", num_heads, Limits{1, 64}, "hash heads of an order");
      s("head_dim", head_dim, Limits{1, 65536}, "width of a row of the table");
      s("rows_per_head", rows_per_head, Limits{2, 1e9},
        "each head has the next unused prime number of rows from here on; one number, or one per order");
      s("seed", seed, Limits{0, kMaxInt}, "seed of the hash multipliers");
      s("bias", bias, "a bias on the projection to keys and value");
      s.section("gate", gate, "The gate, which computes the weight of a looked-up row from its score.");
      s("conv", conv, "short causal convolution over the gated values");
      s.unused_if(!conv, "conv is false", [&] {
        s("conv_kernel", conv_kernel, Limits{1, 16}, "taps of the convolution");
        s("conv_dilation", conv_dilation, Limits{0, 64}, "tokens from one tap to the next; 0: the largest order");
        s("conv_eps", conv_eps, Limits{0, 0.1}, "added to the mean square in the convolution's norm");
      });
      s("compression", compression, "look up normalized tokens: case, accents and spaces folded");
      s("pad_id", pad_id, Limits{0, 1e9}, "token that stands for what lies before the start of a document");
      s("init_std", init_std, Limits{0, 10}, "standard deviation of the initial rows");
    });
  }
  bool operator==(const EngramOptions&) const = default;
};

}  // namespace birkhoff
