#pragma once
#include "trainer/nn/attention_options.h"
#include "trainer/nn/build_options.h"
#include "trainer/nn/engram_options.h"
#include "trainer/nn/ffn_options.h"
#include "trainer/nn/moe_options.h"
#include "trainer/nn/residual_options.h"

namespace birkhoff {

enum class PositionType : uint8_t { rope, learned };
inline EnumNames names_of(PositionType) {
  static constexpr std::string_view names[] = {"rope", "learned"};
  return names;
}

enum class Recompute : uint8_t {
  none,
  block,    // a block keeps only its input and runs forward again before its backward
  streams,  // a group of blocks keeps its input and the activations inside its sublayers; the streams, and the inputs
            // of sublayers with their norms, are computed again (arXiv:2512.24880, 4.3.2)
};
inline EnumNames names_of(Recompute) {
  static constexpr std::string_view names[] = {"none", "block", "mhc"};
  return names;
}

struct MtpOptions {
  int64_t depth = 0;
  double weight = 0.3;

  void visit(SettingList& s) {
    s("depth", depth, Limits{0, 8}, "further tokens predicted, each by a block of its own; 0: none");
    s.unused_if(depth == 0, "depth is 0", [&] {
      s("weight", weight, Limits{0, 100}, "weight of the mean loss over the depths").free();
    });
  }
  bool operator==(const MtpOptions&) const = default;
};

// The options of a decoder.
struct DecoderOptions {
  int64_t vocab_size = 0;  // 0: that of the tokenizer, filled in before a decoder is built
  int64_t hidden_size = 512;
  int64_t num_layers = 8;
  NormOptions norm;
  bool tie_embeddings = false;
  InitOptions init;
  PositionType position = PositionType::rope;
  int64_t max_positions = 0;
  AttentionOptions attention;
  RotaryOptions rope;
  FfnOptions ffn;
  MoeOptions moe;
  ResidualOptions residual;
  EngramOptions engram;
  MtpOptions mtp;
  double z_loss = 0;
  Recompute recompute = Recompute::none;
  int64_t recompute_layers = 0;

  int64_t learned_positions() const { return position == PositionType::learned ? max_positions : 0; }

  void visit(SettingList& s) {
    s("vocab_size", vocab_size, Limits{0, 1e8}, "rows of the embedding; 0: the tokenizer's");
    s("hidden_size", hidden_size, Limits{1, 1e6}, "width of the model");
    s("num_layers", num_layers, Limits{1, 10000}, "blocks of attention and feed-forward");
    norm.visit(s);
    s("tie_embeddings", tie_embeddings, "the head is the embedding");
    init.visit(s);
    s("position", position, "rope: rotated queries and keys; learned: a vector per position added to the embedding");
    s.unused_if(position != PositionType::learned, "position is not learned", [&] {
      s("max_positions", max_positions, Limits{0, 1e9}, "learned positions; 0: batch.sequence_length");
    });
    s.section("attention", attention, "Attention.");
    s.unused_if(position != PositionType::rope, "position is not rope",
                [&] { s.section("rope", rope, "Rotary positions."); });
    s.section("ffn", ffn, "Dense feed-forward layers.");
    s.section("moe", moe, "Mixture of experts.");
    mark_unused_layers(s);
    s.section("residual", residual, "Residual connections around attention and feed-forward.");
    s.section("engram", engram, "Conditional memory: hashed n-gram tables.");
    s.section("mtp", mtp, "Multi-token prediction.");
    s("z_loss", z_loss, Limits{0, 1}, "weight of the squared log of the softmax's sum, added to the loss").free();
    s("recompute", recompute, "activations computed again in backward: none, whole blocks, or the streams of mhc")
        .free();
    s("recompute_layers", recompute_layers, Limits{0, 10000},
      "recompute mhc: blocks whose streams are computed again together, from the input of the first; 0: as many as "
      "take least memory")
        .free();
  }
  bool operator==(const DecoderOptions&) const = default;

  // Whether any block has experts, that of an MTP predictor included.
  bool has_experts() const { return moe.at(mtp.depth > 0 ? num_layers : num_layers - 1); }

 private:
  // Which kinds of layers a model has depends on several sections.
  void mark_unused_layers(SettingList& s) const {
    if (attention.type == AttentionType::mla) s.mark_unused("rope.dims", "model.attention.type is mla");
    if (moe.at(0)) {
      for (const char* setting : {"ffn.size", "ffn.bias"}) s.mark_unused(setting, "all layers have experts");
    }
    if (moe.num_experts > 0 && !has_experts()) {
      s.mark_unused("moe", "model.moe.first_dense_layers leaves no other layer", "moe.first_dense_layers");
    }
  }
};

}  // namespace birkhoff
