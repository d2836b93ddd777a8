#pragma once
#include "trainer/config/model_attention.h"
#include "trainer/config/model_ffn.h"
#include "trainer/config/model_residual.h"
#include "trainer/config/setting.h"

namespace birkhoff {

enum class NormType { rmsnorm, layernorm };
inline EnumNames names_of(NormType) {
  static constexpr std::string_view names[] = {"rmsnorm", "layernorm"};
  return names;
}

enum class RecomputePolicy { none, block, mhc };
inline EnumNames names_of(RecomputePolicy) {
  static constexpr std::string_view names[] = {"none", "block", "mhc"};
  return names;
}

struct MtpConfig {
  int64_t depth = 0;
  double weight = 0.3;

  void visit(SettingList& s) {
    s("depth", depth, Limits{0, 8}, "further tokens predicted, each by a block of its own; 0: none");
    s("weight", weight, Limits{0, 100}, "weight of the mean loss over the depths").free();
  }
  bool operator==(const MtpConfig&) const = default;
};

struct ModelConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 512;
  int64_t num_layers = 8;
  NormType norm = NormType::rmsnorm;
  double norm_eps = 1e-6;
  bool tie_embeddings = false;
  double init_std = 0.02;
  double embedding_init_std = 0;
  double output_init_scale = 1;
  PositionType position = PositionType::rope;
  int64_t max_positions = 0;
  AttentionConfig attention;
  RopeConfig rope;
  FfnConfig ffn;
  MoeConfig moe;
  ResidualConfig residual;
  EngramConfig engram;
  MtpConfig mtp;
  double z_loss = 0;
  RecomputePolicy recompute = RecomputePolicy::none;
  int64_t recompute_layers = 0;

  void visit(SettingList& s) {
    s("vocab_size", vocab_size, Limits{0, 1e8}, "rows of the embedding; 0: the tokenizer's");
    s("hidden_size", hidden_size, Limits{1, 1e6}, "width of the model");
    s("num_layers", num_layers, Limits{1, 10000}, "blocks of attention and feed-forward");
    s("norm", norm, "normalization before each sublayer and before the head");
    s("norm_eps", norm_eps, Limits{0, 0.1}, "added to the mean square");
    s("tie_embeddings", tie_embeddings, "the head is the embedding");
    s("init_std", init_std, Limits{0, 10}, "standard deviation of the initial weights");
    s("embedding_init_std", embedding_init_std, Limits{0, 10},
      "standard deviation of the initial embedding and learned positions; 0: init_std");
    s("output_init_scale", output_init_scale, Limits{0, 10},
      "factor of init_std where attention, feed-forward and experts end; 1/sqrt(2 num_layers) in GPT-2");
    s("position", position, "rope: rotated queries and keys; learned: a vector per position added to the embedding");
    s("max_positions", max_positions, Limits{0, 1e9}, "learned positions; 0: batch.sequence_length");
    s.section("attention", attention, "Attention.");
    s.section("rope", rope, "Rotary positions.");
    s.section("ffn", ffn, "Dense feed-forward layers.");
    s.section("moe", moe, "Mixture of experts.");
    s.section("residual", residual, "What carries the blocks' outputs to the next block.");
    s.section("engram", engram, "Conditional memory: hashed n-gram tables.");
    s.section("mtp", mtp, "Multi-token prediction.");
    s("z_loss", z_loss, Limits{0, 1}, "weight of the squared log of the softmax's sum, added to the loss").free();
    s("recompute", recompute, "activations computed again in backward: none, whole blocks, or the streams of mhc")
        .free();
    s("recompute_layers", recompute_layers, Limits{0, 10000},
      "recompute mhc: blocks whose streams are computed again together, from the input of the first; 0: as many as "
      "take "
      "least memory")
        .free();
  }
  bool operator==(const ModelConfig&) const = default;
};

}  // namespace birkhoff
